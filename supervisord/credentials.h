/*
 * credentials - the root key and the scrape token of a new store.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_SUPERVISORD_CREDENTIALS_H
#define HF_SUPERVISORD_CREDENTIALS_H

#include "libbase/config.h"
#include "libbase/err.h"

struct credentials {
	char	access_key[132];
	char	source[4200];		/* where the secret is, for a person */
};

/*
 * The root access key from the config (environment), else from the credentials file, which is made
 * with random values (mode 0600) if it is missing. What came from the environment is never written.
 * Access keys have 3 to 128 characters, secrets 8 to 128.
 */
int credentials_ensure(const struct config *c, struct credentials *out, struct err *e);
/* Makes the scrape token file (0600) if it is missing. */
int scrape_token_ensure(const struct config *c, struct err *e);

#endif
