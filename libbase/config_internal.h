/*
 * config_internal - what the files config*.c share: the text forms of values, and the loading
 * steps.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_BASE_CONFIG_INTERNAL_H
#define HF_BASE_CONFIG_INTERNAL_H

#include "libbase/config.h"

union config_value {
	uint64_t	number;		/* U64 BYTES MS */
	bool		flag;		/* BOOL */
	const char	*text;		/* STR, borrowed */
};

/* config_value.c: one value by its row. The error says what was expected and what was found. */
int config_value_parse(const struct config_row *row, const char *text, union config_value *out,
    struct err *e);
void config_value_format(const struct config_row *row, union config_value v, struct buf *out);
/* A number of the row's type ("64KiB", "30s", "7"), as bounds are shown. */
void config_number_format(enum config_type type, uint64_t v, struct buf *out);
int config_bool_parse(const char *text, bool *out);

/* config.c */
int config_key_find(const char *section, const char *name);	/* or -1 */
bool config_section_known(const char *section);
int config_set_enabled(struct config *c, int service, const char *text, enum config_source source,
    struct err *e);
const char *config_service_name(int service);			/* NULL past the last */

/* config_file.c, config_env.c: one source each, over what is there. */
int config_load_file(struct config *c, const char *path, struct err *e);
int config_load_environment(struct config *c, struct err *e);

/* config_check.c: what no single row can say, of a config that came from this file (or NULL). */
int config_check(const struct config *c, const char *path, struct err *e);

#endif
