/*
 * bus_socket - sockets, messages and operations of nng, in our words.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "libbase/clock.h"
#include "libipc/bus_internal.h"
#include "libipc/libc_for_nng.h"
#include "libipc/socket_path.h"

#define RECONNECT_MS_MIN	5
#define RECONNECT_MS_MAX	20
/* Somewhat larger messages are let in, so that message.c can refuse them with a sentence. */
#define RECEIVE_BYTES_MAX	(4 * BUS_MESSAGE_BYTES_MAX)
#define CLOSE_MS		250

static void
nng_start(void)
{
	sigset_t all, before;
	nng_socket s;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	libc_pretend_one_processor(true);
	if (nng_req0_open(&s) == 0)
		nng_close(s);
	libc_pretend_one_processor(false);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static void *
socket_close_thread(void *arg)
{
	nng_socket s = { .id = (uint32_t)(uintptr_t)arg };

	nng_close(s);
	return (NULL);
}

/*
 * nng 1.5.2 now and then never comes back from nng_close: its reaper waits for an operation of a
 * connection that ended at that moment. A loop must not wait with it: after CLOSE_MS the closing is
 * left to its thread, and false comes back: callbacks of s may still run.
 */
bool
bus_socket_close(nng_socket s)
{
	sigset_t all, before;
	struct timespec until;
	pthread_t thread;
	uint64_t ns;
	int rc;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	rc = pthread_create(&thread, NULL, socket_close_thread, (void *)(uintptr_t)s.id);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (rc != 0)		/* no thread to be had: the kernel closes it at exit */
		return (false);
	ns = clock_mono_ns() + CLOSE_MS * UINT64_C(1000000);
	until.tv_sec = (time_t)(ns / 1000000000);
	until.tv_nsec = (long)(ns % 1000000000);
	if (pthread_clockjoin_np(thread, NULL, CLOCK_MONOTONIC, &until) == 0)
		return (true);
	pthread_detach(thread);
	return (false);
}

int
bus_socket_open(int (*open_protocol)(nng_socket *), nng_socket *out, struct err *e)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	int rv;

	pthread_once(&once, nng_start);
	rv = open_protocol(out);
	if (rv != 0)
		return (err_set(e, ERR_UNAVAILABLE, "cannot open a bus socket: %s",
		    nng_strerror(rv)));
	rv = nng_socket_set_size(*out, NNG_OPT_RECVMAXSZ, RECEIVE_BYTES_MAX);
	assert(rv == 0);
	rv = nng_socket_set_ms(*out, NNG_OPT_RECONNMINT, RECONNECT_MS_MIN);
	assert(rv == 0);
	rv = nng_socket_set_ms(*out, NNG_OPT_RECONNMAXT, RECONNECT_MS_MAX);
	assert(rv == 0);
	return (0);
}

int
bus_address_url(const char *address, char url[128], struct err *e)
{
	struct sockaddr_un unused;

	if (address[0] != '/')
		return (err_set(e, ERR_UNSUPPORTED,
		    "bus address '%s' is not the path of a Unix socket", address));
	if (socket_path_address(address, &unused, e) < 0)
		return (ERR_INVALID);
	snprintf(url, 128, "ipc://%s", address);
	return (0);
}

int
bus_socket_listen(nng_socket s, const char *address, struct err *e)
{
	nng_listener listener;
	char url[128];
	int rc, rv;

	rc = bus_address_url(address, url, e);
	if (rc == 0)
		rc = socket_path_clear(address, e);
	if (rc < 0)
		return (rc);
	rv = nng_listener_create(&listener, s, url);
	if (rv == 0)
		rv = nng_listener_set_int(listener, NNG_OPT_IPC_PERMISSIONS, 0600);
	if (rv == 0)
		rv = nng_listener_start(listener, 0);
	if (rv != 0)
		return (err_set(e, rv == NNG_EADDRINUSE ? ERR_LOCKED : ERR_IO,
		    "cannot listen on %s: %s", address, nng_strerror(rv)));
	return (0);
}

int
bus_socket_dial(nng_socket s, const char *address, struct err *e)
{
	char url[128];
	int rc, rv;

	rc = bus_address_url(address, url, e);
	if (rc < 0)
		return (rc);
	rv = nng_dial(s, url, NULL, NNG_FLAG_NONBLOCK);		/* B4 */
	if (rv != 0)
		return (err_set(e, ERR_UNAVAILABLE, "cannot dial %s: %s", address,
		    nng_strerror(rv)));
	return (0);
}

nng_msg *
bus_message_of(struct slice bytes)
{
	nng_msg *m = NULL;
	int rv = nng_msg_alloc(&m, bytes.bytes);

	assert(rv == 0);
	if (bytes.bytes > 0)
		memcpy(nng_msg_body(m), bytes.data, bytes.bytes);
	return (m);
}

struct slice
bus_message_slice(nng_msg *m)
{
	return (SLICE(nng_msg_body(m), nng_msg_len(m)));
}

/* The message of a finished operation, which is the caller's now; NULL if there is none. */
nng_msg *
bus_aio_take_message(nng_aio *aio)
{
	nng_msg *m = nng_aio_get_msg(aio);

	nng_aio_set_msg(aio, NULL);
	return (m);
}

/* Ends an operation for good; no callback runs after return. */
void
bus_aio_end(nng_aio *aio)
{
	nng_msg *m;

	nng_aio_stop(aio);
	m = bus_aio_take_message(aio);
	if (m != NULL)
		nng_msg_free(m);
	nng_aio_free(aio);
}

int
bus_code_of(int rv)
{
	switch (rv) {
	case 0:
		return (0);
	case NNG_ETIMEDOUT:
		return (ERR_TIMEOUT);
	case NNG_ECANCELED:
		return (ERR_CANCELLED);
	default:
		return (ERR_UNAVAILABLE);
	}
}
