/*
 * xml - writes XML documents into a buf, and reads small ones from clients into a tree.
 *
 * X1  Whatever text is written, the output is well-formed XML 1.0: the reserved characters are
 *     entities, \r \n \t in text that must survive are character references as S3 sends them, bytes
 *     that XML cannot carry (other C0 controls, broken UTF-8) become U+FFFD.
 * X2  The reader refuses DOCTYPE (hence entities), more than `depth_max` levels, more than
 *     `elements_max` elements, and input larger than `bytes_max`.
 *
 * Which documents S3 has is libs3's and services/s3's business.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_HTTP_XML_H
#define HF_HTTP_XML_H

#include "libbase/arena.h"
#include "libbase/buf.h"
#include "libbase/err.h"

#define XML_S3_NAMESPACE "http://s3.amazonaws.com/doc/2006-03-01/"

/* Writer. Names are ours (not escaped); text is anybody's (escaped). All append to out. */
void xml_declaration(struct buf *out);	/* <?xml version="1.0" encoding="UTF-8"?>\n */
void xml_open(struct buf *out, const char *name);		/* <name> */
void xml_open_namespace(struct buf *out, const char *name, const char *namespace);
void xml_close(struct buf *out, const char *name);		/* </name> */
void xml_text(struct buf *out, struct slice text);		/* escaped */
void xml_element(struct buf *out, const char *name, const char *text);	/* <name>text</name> */
void xml_element_slice(struct buf *out, const char *name, struct slice text);
void xml_element_u64(struct buf *out, const char *name, uint64_t value);
void xml_element_bool(struct buf *out, const char *name, bool value);

/* Reader. */
struct xml_node {
	const char	*name;		/* without namespace prefix */
	const char	*text;		/* all character data directly inside, or "" */
	struct xml_node	*children;	/* first child, or NULL */
	struct xml_node	*next;		/* next sibling, or NULL */
};

struct xml_limits {
	size_t		 bytes_max;
	size_t		 elements_max;
	unsigned	 depth_max;
};
/* 1 MiB, 100,000 elements, 32 levels. DeleteObjects and CompleteMultipartUpload need more bytes. */
#define XML_LIMITS_DEFAULT { 1048576, 100000, 32 }

/*
 * Parses a whole document. The tree lives in the arena. 0 and *root; ERR_INVALID with line and
 * reason when it is not well formed or has a DOCTYPE; ERR_TOO_LARGE past a limit.
 */
int xml_parse(struct arena *a, struct slice document, const struct xml_limits *limits,
    struct xml_node **root, struct err *e);
/* First child of that name, or NULL; node may be NULL. */
const struct xml_node *xml_child(const struct xml_node *node, const char *name);
/* Text of the first child of that name, or NULL. */
const char *xml_child_text(const struct xml_node *node, const char *name);
/* The next sibling (from node->next on) of that name, or NULL. */
const struct xml_node *xml_next(const struct xml_node *node, const char *name);

#endif
