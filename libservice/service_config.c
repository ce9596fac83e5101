/*
 * service_config - the config of a service that runs is loaded again.
 *
 * L1  A config that is bad changes nothing: the old one stays.
 * L2  Keys whose change needs a restart keep the value that the process began with; which of them
 *     were changed is remembered and shown.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libservice/service_internal.h"

#include <string.h>

#include "libbase/clock.h"

#define SAME_U64(a, b)		((a) == (b))
#define SAME_BYTES(a, b)	((a) == (b))
#define SAME_MS(a, b)		((a) == (b))
#define SAME_BOOL(a, b)		((a) == (b))
#define SAME_STR(a, b)		(strcmp((a), (b)) == 0)

/* Exchanges the values that need a restart: the new config keeps the old ones. Notes which. */
static void
config_keep_restart_keys(struct service *s, struct config *new)
{
	struct config *old = &s->config;

#define KEY(section, name, type, ...) \
	if (config_row(CONFIG_KEY_##section##_##name)->apply == CONFIG_RESTART) { \
		enum config_key key = CONFIG_KEY_##section##_##name; \
		CONFIG_FIELD_##type value = new->section##_##name; \
		enum config_source source = new->source[key]; \
		\
		s->restart_needed[key] = !SAME_##type(value, old->section##_##name); \
		if (s->restart_needed[key]) \
			log_warn(#section "." #name " was changed; the change needs a restart"); \
		new->section##_##name = old->section##_##name; \
		old->section##_##name = value; \
		new->source[key] = old->source[key]; \
		old->source[key] = source; \
	}
#include "schema/config.def"
#undef KEY
}

enum log_level
service_log_level(const struct config *c)
{
	enum log_level level = LOG_INFO;

	log_level_parse(c->supervisor_log_level, &level);
	return (level);
}

int
service_reload(struct service *s, const char *asked_by, struct err *e)
{
	struct config new;
	int rc;

	rc = config_load(&new, s->launch.config_path, e);
	if (rc < 0) {
		service_set_error(s, e);
		log_error("reload asked by %s failed, the old config stays: %s", asked_by, e->text);
		return (rc);
	}
	config_keep_restart_keys(s, &new);
	config_release(&s->config);
	s->config = new;
	log_set_level(service_log_level(&s->config));
	s->reloads++;
	s->last_reload_ms = clock_real_ms();
	log_info("config reloaded, asked by %s", asked_by);
	if (s->ops->reload != NULL)
		s->ops->reload(s);
	return (0);
}
