# libhttp - floor 2: HTTP/1.1 server, URIs, XML.
#
# SPDX-License-Identifier: Apache-2.0

noinst_LIBRARIES += libhttp/libhttp.a
libhttp_libhttp_a_SOURCES = \
	libhttp/http_body.c \
	libhttp/http_chunked.c libhttp/http_chunked.h \
	libhttp/http_conn.c libhttp/http_conn.h \
	libhttp/http_head.c libhttp/http_head.h \
	libhttp/http_reply.c \
	libhttp/http_response.c \
	libhttp/http_server.c libhttp/http_server.h \
	libhttp/uri.c libhttp/uri.h \
	libhttp/xml.c libhttp/xml.h \
	libhttp/xml_read.c
