/*
 * root_key - the root access key and secret, as every service that checks signatures loads them.
 *
 * Precedence as config: auth.root_user and auth.root_password (environment), else the credentials
 * file with the lines `access_key = X` and `secret_key = Y`, which only its owner may read.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_SERVICE_ROOT_KEY_H
#define HF_SERVICE_ROOT_KEY_H

#include "libbase/config.h"
#include "libbase/err.h"

#define ROOT_KEY_TEXT_MAX 128

struct root_key {
	char	access_key[ROOT_KEY_TEXT_MAX + 1];
	char	secret[ROOT_KEY_TEXT_MAX + 1];
};

/* Fills *out; ERR_CONFIG with file and line of what is wrong (missing, open to others, malformed);
 * *out is unchanged then, so that a reload that fails keeps the old key. */
int root_key_load(const struct config *c, struct root_key *out, struct err *e);
/* sigv4_secret_fn over a struct root_key: the secret if access_key is the root's, else NULL. */
const char *root_key_secret(const char *access_key, void *root_key);

#endif
