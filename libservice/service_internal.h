/*
 * service_internal - what the files of libservice share.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_SERVICE_INTERNAL_H
#define HF_SERVICE_INTERNAL_H

#include "libservice/service.h"

#include "libbase/pool.h"

#define SERVICE_SOCKETS_MAX	64
#define SERVICE_STOP_MS		5000	/* of a service that services.def does not know */

/* What holdfastd gave us: arguments, environment, descriptors. launch.c */
struct launch {
	char		config_path[4096];
	unsigned	instance;
	uint64_t	generation;
	int		notify_fd, parent_fd, table_fd, readers_fd;	/* -1: none */
	int		sockets[SERVICE_SOCKETS_MAX];
	unsigned	socket_count;
	pid_t		parent_pid;
};

struct service {
	const struct service_ops	*ops;
	void				*context;
	struct launch			 launch;
	char				 name[64];		/* "s3.0" */
	struct config			 config;
	bool				 restart_needed[CONFIG_KEY_COUNT];	/* changed */

	struct event_base		*base;
	struct event			*term, *interrupt, *hangup, *parent;
	struct bus			*bus;
	struct event_subscriber		*events;
	struct message_server		*control;
	struct pool			*pool;

	enum service_state		 state;
	uint64_t			 since_ms;		/* clock_real_ms() */
	bool				 ready_wanted, paused;
	unsigned			 terms;
	char				 degraded[480];		/* "": not degraded */
	struct err			 last_error;
	uint64_t			 last_error_ms, last_reload_ms;	/* real; 0: never */
	uint64_t			 progress_ms;		/* mono; 0: never */
	unsigned			 reloads, cancellations;
};

/* launch.c: 0, ERR_CONFIG with the sentence, or ERR_CANCELLED: --help or --version was answered. */
int launch_read(struct launch *l, const char *service, int argc, char **argv, struct err *e);
void launch_notify(const struct launch *l, const char *line);
/* Dies with holdfastd. ERR_CANCELLED if it is gone already. */
int launch_bind_to_parent(const struct launch *l, struct err *e);

/* rights.c: gives up what no service needs. An error leaves the process as it was. */
int rights_drop(struct err *e);

/* contract.c */
char *contract_json(struct service *s);			/* cJSON_free */
uint64_t contract_stop_ms(const char *service);
const char *contract_state_name(const struct service *s);

/* service_control.c */
extern const struct message_handler service_handlers[];
void service_on_event(void *context, const Hf__Event *event, uint64_t missed);

/* service_state.c */
void service_set_state(struct service *s, enum service_state state);

/* service_config.c */
enum log_level service_log_level(const struct config *c);
/* Loads the config again; the old one stays when it is bad. */
int service_reload(struct service *s, const char *asked_by, struct err *e);

#endif
