/*
 * log - one line per event on standard error, which holdfastd reads and files.
 *
 *   2026-11-21T03:25:00.123Z info s3.0[1234] req=7F00A1B2C3D4E5F6 message
 *
 * Libraries do not log; services do, once, where the decision is made. The request id is an
 * argument, NULL when there is none. A line is at most 4 KiB, within one write(2); bytes below 0x20
 * are shown as \xNN, so that input cannot forge lines.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_BASE_LOG_H
#define HF_BASE_LOG_H

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

void log_init(const char *service, enum log_level level);	/* name is copied */
void log_set_level(enum log_level level);
enum log_level log_level(void);
/* 0 and *out, or ERR_INVALID. */
int log_level_parse(const char *text, enum log_level *out);
const char *log_level_name(enum log_level level);
void log_write(enum log_level level, const char *request_id, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/*
 * As log_write, but the line may wait in memory, with others, for one write(2). Whoever holds a
 * line calls log_flush before its loop waits again; any line of log_write takes those that wait
 * along, in order. A process that is killed in between loses them: nothing but a record of what was
 * done may be held.
 */
void log_hold(enum log_level level, const char *request_id, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void log_flush(void);

#define log_error(...)	 log_write(LOG_ERROR, NULL, __VA_ARGS__)
#define log_warn(...)	 log_write(LOG_WARN, NULL, __VA_ARGS__)
#define log_info(...)	 log_write(LOG_INFO, NULL, __VA_ARGS__)
#define log_debug(...)								\
	do {									\
		if (log_level() >= LOG_DEBUG)					\
			log_write(LOG_DEBUG, NULL, __VA_ARGS__);		\
	} while (0)

#endif
