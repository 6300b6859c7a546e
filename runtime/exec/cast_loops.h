/* SPDX-License-Identifier: MIT */
/*
 * cast_loops.h - one type's values to another's: the inner loops of casts
 *
 * Each is named by what it makes and what it makes it of: i64, u64, f32, ... are integers and floats; d64 and
 * d128 decimals by their width; i128 an integer of 128 bits, as a wide decimal of scale 0 is one.
 */
#ifndef DX_EXEC_CAST_LOOPS_H
#define DX_EXEC_CAST_LOOPS_H

#include "exec/program.h"

/* The parameter that tells a loop by how many digits to shift, and how many the result may have (0: any). */
int64_t dx_shift_by(int from_scale, int to_scale, int digits);

dx_loop dx_i64_of_i8;
dx_loop dx_i64_of_i16;
dx_loop dx_i64_of_i32;
dx_loop dx_i64_of_u8;
dx_loop dx_i64_of_u16;
dx_loop dx_i64_of_u32;
dx_loop dx_i8_of_i64;
dx_loop dx_i16_of_i64;
dx_loop dx_i32_of_i64;
dx_loop dx_u8_of_i64;
dx_loop dx_u16_of_i64;
dx_loop dx_u32_of_i64;
dx_loop dx_i128_of_i64;
dx_loop dx_i128_of_u64;
dx_loop dx_i64_of_i128;
dx_loop dx_u64_of_i128;
dx_loop dx_f64_of_i64;
dx_loop dx_f64_of_u64;
dx_loop dx_f64_of_f32;
dx_loop dx_f32_of_i64;
dx_loop dx_f32_of_u64;
dx_loop dx_f32_of_f64;
dx_loop dx_i128_of_f64;

/* Decimals to another scale, rounded half away from zero; parameter: dx_shift_by(). */
dx_loop dx_i64_scaled;
dx_loop dx_i128_scaled;

dx_loop dx_f64_of_d64;  /* parameter: the scale */
dx_loop dx_f64_of_d128; /* likewise */
dx_loop dx_d128_of_f64; /* parameter: dx_shift_by() */

dx_loop dx_ticks_of_days; /* parameter: ticks in a day */
dx_loop dx_days_of_ticks; /* likewise */

#endif /* DX_EXEC_CAST_LOOPS_H */
