/* SPDX-License-Identifier: MIT */
/*
 * sweep_test.c - queries, sessions, plans and files, in which the first allocation fails, then the second, and so on
 *
 * What must hold is in sweep.h. Then the same with the system calls that memory, files and processes come from, and in
 * the other processes of a session.
 */
#include "base/point.h"

#ifdef DX_POINTS

#include "sweep.h"

enum { TASKS = 2, SESSIONS_MOST = 20 };

/* --- scenarios --------------------------------------------------------------------------------------------------- */

/* The operators, one way and another. */
enum shape {
	SCAN,
	FILTER,
	PROJECT,
	JOIN,
	GROUPS,
	SORT,
	TOP,
	HASH,
	MERGE,
	SAMPLED,
	JOINSCAN,
	SHAPES
};

static struct dsmx_expr *call(struct dsmx_plan *plan, enum dsmx_function function,
                              struct dsmx_expr *a, struct dsmx_expr *b)
{
	struct dsmx_expr *args[] = { a, b };

	return dsmx_expr_call(plan, function, args, 2);
}

static struct dsmx_rel *filter_of(struct dsmx_plan *plan, struct dsmx_rel *rel)
{
	return dsmx_rel_filter(plan, rel,
	                       call(plan, DSMX_FN_OR,
	                            call(plan, DSMX_FN_LIKE, dsmx_expr_column(plan, rel, 1),
	                                 dsmx_expr_utf8(plan, "a%b%", 4)),
	                            call(plan, DSMX_FN_GT, dsmx_expr_column(plan, rel, 0),
	                                 dsmx_expr_int64(plan, 3))));
}

static struct dsmx_rel *project_of(struct dsmx_plan *plan, struct dsmx_rel *rel)
{
	struct dsmx_expr *exprs[] = {
		call(plan, DSMX_FN_ADD, dsmx_expr_column(plan, rel, 2),
		     dsmx_expr_column(plan, rel, 2)),
		dsmx_expr_cast(plan, dsmx_expr_column(plan, rel, 0),
		               (struct dsmx_type){ .id = DSMX_UTF8 }),
		dsmx_expr_column(plan, rel, 1),
	};

	return dsmx_rel_project(plan, rel, exprs, NULL, 3);
}

static struct dsmx_rel *groups_of(struct dsmx_plan *plan, struct dsmx_rel *rel)
{
	struct dsmx_expr *keys[] = { dsmx_expr_column(plan, rel, 1),
		                     dsmx_expr_column(plan, rel, 0) };
	struct dsmx_measure measures[] = {
		{ DSMX_AGG_COUNT_STAR, NULL, "n" },
		{ DSMX_AGG_SUM, dsmx_expr_column(plan, rel, 2), "sum" },
		{ DSMX_AGG_MIN, dsmx_expr_column(plan, rel, 1), "least" },
	};

	return dsmx_rel_aggregate(plan, rel, keys, 2, measures, 3);
}

static struct dsmx_rel *rel_of(struct dsmx_plan *plan, enum shape shape)
{
	static const struct dsmx_sort_key keys[] = { { 1, true, true }, { 0, false, false } };
	static const uint32_t key = 0;
	struct dsmx_rel *rel = rel_file(plan, "plain"), *other = rel_file(plan, "coded");
	struct dsmx_joinscan_side left = { rel, &key, 1, false }, right = { other, &key, 1, false };

	switch (shape) {
	case SCAN:
	case SHAPES:
		return other;
	case FILTER:
		return filter_of(plan, other);
	case PROJECT:
		return project_of(plan, rel);
	case JOIN:
		return dsmx_rel_join(plan, DSMX_JOIN_LEFT, rel, other, &key, &key, 1, NULL);
	case GROUPS:
		return groups_of(plan, other);
	case SORT:
		return dsmx_rel_sort(plan, other, keys, 2);
	case TOP:
		return dsmx_rel_limit(plan, dsmx_rel_sort(plan, rel, keys, 2), 2, 20);
	case HASH:
		return dsmx_rel_exchange(plan, DSMX_EXCHANGE_HASH, rel, &key, 1, 0, NULL);
	case MERGE:
		return dsmx_rel_exchange_merge(plan, dsmx_rel_sort(plan, rel, keys, 2), keys, 2,
		                               NULL);
	case SAMPLED:
		return dsmx_rel_sort(plan, dsmx_rel_exchange_sampled(plan, rel, keys, 2, 0, NULL),
		                     keys, 2);
	case JOINSCAN:
		return dsmx_rel_joinscan(plan, DSMX_JOIN_INNER, &left, &right);
	}
	return NULL;
}

/* Built, distributed and finished; its failure is the plan's first. */
static int make_query(enum shape shape, struct dsmx_plan **ret_plan, struct dsmx_error *err)
{
	struct dsmx_plan *plan;
	struct dsmx_rel *rel;
	int r = dsmx_plan_new(&plan);

	if (r < 0) {
		*err = (struct dsmx_error){ .code = r, .message = "no memory for a plan" };
		return r;
	}
	rel = rel_of(plan, shape);
	if (shape != MERGE)
		rel = dsmx_rel_exchange(plan, DSMX_EXCHANGE_GATHER, rel, NULL, 0, 1, NULL);
	r = dsmx_plan_finish(plan, rel, NULL, err);
	if (r == 0)
		r = dsmx_plan_distribute(plan, TASKS, err);
	if (r == 0)
		*ret_plan = plan;
	else
		dsmx_plan_free(plan);
	return r;
}

/* The session that a query is run in, and its shape. */
static struct dsmx_session *session;
static enum shape shape;

static int run_query(struct dsmx_error *err)
{
	struct dsmx_query *query;
	struct dsmx_plan *plan;
	uint64_t rows;
	int r = make_query(shape, &plan, err);

	if (r < 0)
		return r;
	r = dsmx_query_start(session, plan, NULL, &query, err);
	dsmx_plan_free(plan);
	if (r < 0)
		return r;
	r = read_all(query, NULL, &rows, err);
	dsmx_query_close(query);
	return r;
}

static int run_session(struct dsmx_error *err)
{
	struct dsmx_session_options options = engine_options(1);
	int r = dsmx_session_open(&options, &session, err);

	if (r < 0)
		return r;
	r = run_query(err);
	dsmx_session_close(session);
	session = NULL;
	return r;
}

static int run_codec(struct dsmx_error *err)
{
	struct dsmx_plan *plan, *again;
	void *bytes;
	size_t len;
	int r = make_query(JOINSCAN, &plan, err);

	if (r < 0)
		return r;
	r = dsmx_plan_encode(plan, &bytes, &len, err);
	dsmx_plan_free(plan);
	if (r < 0)
		return r;
	r = dsmx_plan_decode(bytes, len, &again, err);
	free(bytes);
	if (r == 0)
		dsmx_plan_free(again);
	return r;
}

static int run_ipc(struct dsmx_error *err)
{
	struct dsmx_ipc_file *file;
	char path[PATH_MAX + 64];
	int r = dsmx_ipc_open(file_path("coded", path, sizeof(path)), &file, err);

	if (r == 0)
		dsmx_ipc_close(file);
	return r;
}

/* --- in another process of the session ----------------------------------------------------------------------------- */

/*
 * A supervisor or worker finds in its environment what is to fail there, and leaves in the folder how often it came by.
 * What its sanitizers have to say goes to the folder, too.
 */
static void arm_child(const char *role, enum dx_point point, uint64_t at, uint64_t times, int code)
{
	char value[PATH_MAX + 64];

	(void)snprintf(value, sizeof(value), "%s %s %llu %llu %d %s", role, dx_point_str(point),
	               (unsigned long long)at, (unsigned long long)times, code, folder);
	(void)setenv("DSMX_SWEEP", value, 1);
	(void)snprintf(value, sizeof(value), "log_path=%s/sanitizer", folder);
	(void)setenv("ASAN_OPTIONS", value, 1);
	(void)setenv("UBSAN_OPTIONS", value, 1);
}

/* main() of one: returns its status, -1 where this is the test itself. */
static int child_main(int argc, char **argv)
{
	char role[16] = "", name[16] = "", path[PATH_MAX + 16];
	unsigned long long at = 0, times = 0;
	const char *said = getenv("DSMX_SWEEP");
	bool mine = said != NULL && argc == 2 &&
	            sscanf(said, "%15s %15s %llu %llu", role, name, &at, &times) == 4 &&
	            strstr(argv[1], role) != NULL;
	enum dx_point point = dx_point_find(name);
	int status, code = 0;
	FILE *hits;

	if (mine && sscanf(said, "%*s %*s %*u %*u %d %4000s", &code, path) != 2)
		return 2;
	if (mine)
		dx_point_fail(point, at, times, code);
	status = dsmx_worker_main(argc, argv, engine);
	if (mine) {
		(void)strcat(path, "/hits");
		hits = fopen(path, "we");
		if (hits != NULL)
			(void)fprintf(hits, "%llu", (unsigned long long)dx_point_hits(point));
		if (hits != NULL)
			(void)fclose(hits);
	}
	return status;
}

static uint64_t child_hits(void)
{
	char path[PATH_MAX + 64];
	FILE *file = fopen(file_path("hits", path, sizeof(path)), "re");
	unsigned long long hits = 0;

	if (file == NULL || fscanf(file, "%llu", &hits) != 1)
		hits = 0;
	if (file != NULL)
		(void)fclose(file);
	(void)unlink(path);
	return hits;
}

/* Says what a sanitizer said in any process, and returns whether one did. */
static bool child_was_wrong(void)
{
	struct dirent *entry;
	DIR *dir = opendir(folder);
	char path[PATH_MAX + 64], line[256];
	bool wrong = false;

	while (dir != NULL && (entry = readdir(dir)) != NULL) {
		FILE *file;

		if (strncmp(entry->d_name, "sanitizer", 9) != 0)
			continue;
		file = fopen(file_path(entry->d_name, path, sizeof(path)), "re");
		while (file != NULL && fgets(line, sizeof(line), file) != NULL)
			printf("#   %s", line);
		if (file != NULL)
			(void)fclose(file);
		(void)unlink(path);
		wrong = true;
	}
	if (dir != NULL)
		(void)closedir(dir);
	return wrong;
}

static void sweep_child_times(bool *ok, const char *role, enum dx_point point, uint64_t times,
                              int code)
{
	uint64_t hits, step, survived = 0, runs = 0;
	struct dsmx_error err;

	arm_child(role, point, 0, times, code);
	CHECK_EQ(run_session(&err), 0);
	hits = child_hits();
	step = hits / SESSIONS_MOST + 1;
	/* Of many, each run of the test has others. */
	for (uint64_t at = 1 + dx_now_ns() % step; at <= hits && *ok; at += step, runs++) {
		int r;

		arm_child(role, point, at, times, code);
		err = (struct dsmx_error){ 0 };
		r = run_session(&err);
		survived += r == 0;
		if (getenv("DSMX_SWEEP_SAY") != NULL)
			printf("# %s, %s %llu: %d \"%s\"\n", role, dx_point_str(point),
			       (unsigned long long)at, r, err.message);
		if (r > 0 || (r < 0 && (err.code != r || err.message[0] == '\0')) ||
		    child_was_wrong()) {
			printf("# %s, %s %llu: returned %d, said %d \"%s\"\n", role,
			       dx_point_str(point), (unsigned long long)at, r, err.code,
			       err.message);
			*ok = false;
		}
	}
	(void)child_hits();
	(void)unsetenv("DSMX_SWEEP");
	printf("# %s, %s: %llu of %llu calls, %llu of them not needed\n", role, dx_point_str(point),
	       (unsigned long long)runs, (unsigned long long)hits, (unsigned long long)survived);
	CHECK_EQ(run_session(&err), 0);
}

static void sweep_child(bool *ok, const char *role, enum dx_point point, int code)
{
	sweep_child_times(ok, role, point, 1, code);
	if (*ok)
		sweep_child_times(ok, role, point, UINT64_MAX, code);
}

/* --- the tests ------------------------------------------------------------------------------------------------- */

static void sweep_queries(bool *ok, uint32_t workers)
{
	struct dsmx_session_options options = engine_options(workers);

	session = open_engine(&options);
	CHECK(session != NULL);
	for (shape = SCAN; shape < SHAPES && *ok; shape++) {
		printf("# shape %d\n", (int)shape);
		sweep(ok, DX_POINT_ALLOC, ENOMEM, run_query);
	}
	shape = SCAN;
	dsmx_session_close(session);
	session = NULL;
}

TEST(sweep_local,
     "any allocation of a query in the leader alone may fail: -ENOMEM, and the next one runs")
{
	sweep_queries(ok, 0);
}

TEST(sweep_leader,
     "any allocation of the leader's part of a query may fail, and the session goes on")
{
	sweep_queries(ok, 2);
}

TEST(sweep_codec, "any allocation of building, encoding and decoding a plan may fail")
{
	sweep(ok, DX_POINT_ALLOC, ENOMEM, run_codec);
}

TEST(sweep_ipc, "any allocation or call of opening an Arrow file may fail")
{
	sweep(ok, DX_POINT_ALLOC, ENOMEM, run_ipc);
	sweep(ok, DX_POINT_MMAP, ENOMEM, run_ipc);
	sweep(ok, DX_POINT_OPEN, EMFILE, run_ipc);
}

TEST(sweep_session, "any allocation of opening a session may fail, and nothing is left of it")
{
	sweep(ok, DX_POINT_ALLOC, ENOMEM, run_session);
}

TEST(sweep_calls,
     "any system call of opening a session may fail: it does without, or says why it cannot")
{
	static const struct {
		enum dx_point point;
		int code;
	} calls[] = {
		{ DX_POINT_MMAP, ENOMEM },      { DX_POINT_MADVISE, ENOMEM },
		{ DX_POINT_MEMFD, EMFILE },     { DX_POINT_FTRUNCATE, EIO },
		{ DX_POINT_FALLOCATE, ENOSPC }, { DX_POINT_SEAL, EPERM },
		{ DX_POINT_OPEN, EMFILE },      { DX_POINT_MKDIR, EACCES },
		{ DX_POINT_EVENTFD, EMFILE },   { DX_POINT_SOCKET, EMFILE },
		{ DX_POINT_PIPE, EMFILE },      { DX_POINT_PIDFD, EMFILE },
		{ DX_POINT_CHILD, EAGAIN },     { DX_POINT_URING, EPERM },
		{ DX_POINT_WRITE, ENOSPC },
	};

	for (size_t i = 0; i < DX_ARRAY_LEN(calls) && *ok; i++)
		sweep(ok, calls[i].point, calls[i].code, run_session);
}

TEST(sweep_worker,
     "any allocation of a worker may fail: its session or query fails with a sentence, and closes")
{
	shape = JOINSCAN;
	sweep_child(ok, "worker", DX_POINT_ALLOC, ENOMEM);
	shape = SCAN;
	sweep_child(ok, "worker", DX_POINT_MMAP, ENOMEM);
	sweep_child(ok, "worker", DX_POINT_OPEN, EMFILE);
	sweep_child(ok, "worker", DX_POINT_URING, EPERM);
}

TEST(sweep_supervisor,
     "any allocation or call of a supervisor may fail: its session says so, or does without")
{
	sweep_child(ok, "supervisor", DX_POINT_ALLOC, ENOMEM);
	sweep_child(ok, "supervisor", DX_POINT_OPEN, EMFILE);
	sweep_child(ok, "supervisor", DX_POINT_MKDIR, EACCES);
	sweep_child(ok, "supervisor", DX_POINT_CHILD, EAGAIN);
	sweep_child(ok, "supervisor", DX_POINT_PIDFD, EMFILE);
	sweep_child(ok, "supervisor", DX_POINT_SOCKET, EMFILE);
}

int main(int argc, char **argv)
{
	int status;

	find_self();
	status = child_main(argc, argv);
	if (status >= 0)
		return status;
	enter_folder();
	make_file("plain", NULL);
	make_file("coded", (const bool[]){ false, true, false, false });
	status = harness_main(argc, argv);
	leave_folder();
	return status;
}

#endif /* DX_POINTS */
