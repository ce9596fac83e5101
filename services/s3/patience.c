/*
 * patience - a timer that writes blanks.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "services/s3/patience.h"

#include <assert.h>
#include <stdlib.h>

#include "libhttp/xml.h"
#include "services/s3/reply.h"

struct patience {
	struct s3_request	*r;
	struct event		*timer;
	struct buf		 declaration;	/* and the first blank */
	bool			 answering, writing, finished;
};

static void
write_bytes(struct patience *p, const void *data, size_t bytes, http_write_fn *fn)
{
	struct iovec iov = { (void *)(uintptr_t)data, bytes };

	p->writing = true;
	http_response_write(p->r->http, &iov, 1, fn, p);
}

static void
on_document_sent(struct http_request *http, void *argument)
{
	(void)argument;
	http_response_end(http);
}

/* The declaration is out already. */
static void
document_write(struct patience *p)
{
	const struct buf *d = &p->r->out;
	size_t before = p->declaration.bytes - 1;

	assert(d->bytes > before && memcmp(d->data, p->declaration.data, before) == 0);
	write_bytes(p, d->data + before, d->bytes - before, on_document_sent);
}

static void
on_blank_sent(struct http_request *http, void *argument)
{
	struct patience *p = argument;

	(void)http;
	p->writing = false;
	if (p->finished)
		document_write(p);
}

static void
answer_begin(struct patience *p)
{
	struct s3_request *r = p->r;

	p->answering = true;
	http_response_reset(r->http);
	reply_common_headers(r);
	http_response_header(r->http, "Content-Type", "application/xml");
	http_response_begin(r->http, 200, HTTP_LENGTH_CHUNKED);
	write_bytes(p, p->declaration.data, p->declaration.bytes, on_blank_sent);
}

static void
on_timer(evutil_socket_t fd, short what, void *argument)
{
	struct patience *p = argument;

	(void)fd;
	(void)what;
	if (!p->answering)
		answer_begin(p);
	else if (!p->writing)
		write_bytes(p, " ", 1, on_blank_sent);
}

void
patience_begin(struct s3_request *r)
{
	unsigned ms = r->server->blank_ms;
	struct timeval interval = { ms / 1000, (ms % 1000) * 1000 };
	struct patience *p = calloc(1, sizeof(*p));

	assert(r->patience == NULL);
	if (p == NULL)
		abort();
	p->r = r;
	xml_declaration(&p->declaration);
	buf_append_string(&p->declaration, " ");
	p->timer = event_new(service_base(r->server->service), -1, EV_PERSIST, on_timer, p);
	if (p->timer == NULL || event_add(p->timer, &interval) < 0)
		abort();
	r->patience = p;
}

bool
patience_answering(const struct s3_request *r)
{
	return (r->patience != NULL && r->patience->answering);
}

bool
patience_end(struct s3_request *r)
{
	struct patience *p = r->patience;

	if (!patience_answering(r)) {
		patience_free(&r->patience);
		return (false);
	}
	assert(!p->finished);
	p->finished = true;
	event_del(p->timer);
	if (!p->writing)
		document_write(p);
	return (true);
}

void
patience_free(struct patience **pp)
{
	struct patience *p = *pp;

	if (p == NULL)
		return;
	*pp = NULL;
	event_free(p->timer);
	buf_release(&p->declaration);
	free(p);
}
