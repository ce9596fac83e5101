/*
 * init_notify - tells the init system how we are, as sd_notify(3), without its library.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_SUPERVISORD_INIT_NOTIFY_H
#define HF_SUPERVISORD_INIT_NOTIFY_H

/* Takes NOTIFY_SOCKET out of the environment. Without it the others do nothing. */
void init_notify_open(void);
void init_notify_close(void);
/* Lines such as "READY=1\nSTATUS=3 of 4 services are ready". Never waits, never fails. */
void init_notify(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* RELOADING=1 with the time that systemd wants beside it. */
void init_notify_reloading(void);

#endif
