/*
 * config - the typed values of schema/config.def, each with the source it came from.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_BASE_CONFIG_H
#define HF_BASE_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "libbase/buf.h"
#include "libbase/err.h"

#define CONFIG_DRIVES_MAX 32		/* that store.drives can name */

enum config_source { CONFIG_DEFAULT, CONFIG_FILE, CONFIG_ADMIN, CONFIG_ENV };
enum config_type { CONFIG_U64, CONFIG_BYTES, CONFIG_MS, CONFIG_BOOL, CONFIG_STR };
enum config_apply { CONFIG_LIVE, CONFIG_RESTART };

#define CONFIG_FIELD_U64 uint64_t
#define CONFIG_FIELD_BYTES uint64_t
#define CONFIG_FIELD_MS uint64_t
#define CONFIG_FIELD_BOOL bool
#define CONFIG_FIELD_STR char *

enum config_key {
#define KEY(section, name, ...) CONFIG_KEY_##section##_##name,
#include "schema/config.def"
#undef KEY
	CONFIG_KEY_COUNT
};

struct config {
#define KEY(section, name, type, ...) CONFIG_FIELD_##type section##_##name;
#include "schema/config.def"
#undef KEY
	enum config_source source[CONFIG_KEY_COUNT];
	/* Services disabled by [service] or HOLDFAST_<NAME>_ENABLED=false; see config_enabled. */
	uint32_t	   disabled;
	uint8_t		   enabled_source[32];
};

struct config_row {
	const char	 *section, *name, *default_text;
	enum config_type  type;
	uint64_t	  min, max;
	const char	 *unit;
	enum config_apply apply;
	const char	 *aliases, *help;
};

const struct config_row *config_row(enum config_key key);
/* Index into services.def's order, or -1. */
int config_service_index(const char *service);

/* Defaults only. */
void config_init(struct config *c);
void config_release(struct config *c);
/*
 * Defaults, then the file at path (NULL: none), then the environment. An unknown section or key, a
 * wrong type or a value out of bounds is ERR_CONFIG with "file:line: section.key: what was
 * expected, what was found"; *c is released then. A file may disable a service by [service-name]
 * enabled = no.
 */
int config_load(struct config *c, const char *path, struct err *e);
/*
 * Sets one key from text; ERR_CONFIG with the reason, *c unchanged then. A valid value of a source
 * weaker than the present one changes nothing. Keys of supervisor and store refuse CONFIG_ADMIN.
 */
int config_set(struct config *c, const char *section, const char *name, const char *text,
    enum config_source source, struct err *e);
/* Canonical text of a value ("64KiB", "30s", "true"); secrets as "(secret)". Appends. */
void config_format(const struct config *c, enum config_key key, struct buf *out);
const char *config_source_name(enum config_source source);
/* Whether a service is enabled, and where that was said. */
bool config_enabled(const struct config *c, const char *service, enum config_source *source);
/* Behind the index's directory: a file of this name tells the store to build the index anew. */
#define CONFIG_INDEX_REBUILD ".rebuild"
/* Effective paths where a key's empty value means "in state_dir"; into out[4096]. */
void config_index_dir(const struct config *c, char out[4096]);
void config_credentials_file(const struct config *c, char out[4096]);
void config_scrape_token_file(const struct config *c, char out[4096]);
/* The whole key table as mdoc(7) items / as a commented sample file. Appends. */
void config_print_man(struct buf *out);
void config_print_sample(struct buf *out);

#endif
