/* SPDX-License-Identifier: MIT */
#include "exec/program.h"
int dx_compile_text(struct dx_eval *eval, const struct dsmx_expr *expr, struct dx_step **args,
                    struct dx_step **ret_step)
{
	(void)expr;
	(void)args;
	(void)ret_step;
	return dx_error(eval->err, -EOPNOTSUPP, "a function on text");
}
int dx_compile_extract(struct dx_eval *eval, const struct dsmx_expr *expr, struct dx_step *arg,
                       struct dx_step **ret_step)
{
	(void)expr;
	(void)arg;
	(void)ret_step;
	return dx_error(eval->err, -EOPNOTSUPP, "EXTRACT");
}
int dx_compile_in(struct dx_eval *eval, const struct dsmx_expr *expr, struct dx_step *arg,
                  struct dx_step **ret_step)
{
	(void)expr;
	(void)arg;
	(void)ret_step;
	return dx_error(eval->err, -EOPNOTSUPP, "IN");
}
int dx_compile_dictionary(struct dx_eval *eval, const struct dsmx_expr *expr,
                          struct dx_step **ret_step)
{
	(void)eval;
	(void)expr;
	(void)ret_step;
	return 0;
}
