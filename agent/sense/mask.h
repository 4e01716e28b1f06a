/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mask.h - a command line made fit to leave the host: bounded, printable, and without secrets.
 *
 * Masked is the value of everything that looks like a secret by its name (password, passwd,
 * passphrase, pwd, ...pass, secret, token, api key, access key, private key, credential,
 * authorization; any case, '-' or '_' between words) in the forms KEY=value, --key=value,
 * --key value, key: value and "key": "value", also within an argument ('sh -c ...') or
 * a query string; passwords in URLs; and mysql's -pSECRET and curl's -u user:SECRET. What a name
 * does not give away (a bare secret as an argument) cannot be known. Pure.
 */
#ifndef MEMHERD_AGENT_SENSE_MASK_H
#define MEMHERD_AGENT_SENSE_MASK_H

#include "common/check.h"

#define MASK_TEXT "***"
/* Longer command lines are cut before masking. */
#define MASK_INPUT_MAX 4096

/*
 * raw: /proc/PID/cmdline, arguments that end with NUL (the last one's may be missing). out gets
 * them joined by single spaces, masked, through str_safe(), cut to size. Returns its length.
 */
size_t mask_cmdline(char *out, size_t size, const void *raw, size_t len);

#endif
