/* SPDX-License-Identifier: Apache-2.0 */
/*
 * judge.h - judges of string options that several programs have (conf_option.refuse): NULL when
 * the value will do, else what was expected.
 */
#ifndef MEMHERD_COMMON_JUDGE_H
#define MEMHERD_COMMON_JUDGE_H

const char *judge_path(const char *value);
const char *judge_path_or_none(const char *value);
const char *judge_address(const char *value); /* address.h: the host may be empty, the port 0 */
const char *judge_log_level(const char *value);
const char *judge_log_format(const char *value);

#endif
