/*
 * xml_read - small XML documents from clients into a tree, by expat, with bounds (xml.h, X2).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "libhttp/xml.h"

#include <assert.h>
#include <expat.h>

/* An element that is still open. */
struct xml_level {
	struct xml_node	*node;
	struct xml_node	*last_child;
	struct buf	 text;
};

struct xml_reader {
	struct arena		*arena;
	const struct xml_limits	*limits;
	XML_Parser		 parser;
	struct xml_level	*levels;	/* limits->depth_max of them */
	unsigned		 depth;
	size_t			 elements;
	struct xml_node		*root;
	struct err		*e;
	int			 rc;
};

static void
reader_fail(struct xml_reader *r, int code, const char *what)
{
	if (r->rc == 0)
		r->rc = err_set(r->e, code, "XML line %lu: %s",
		    (unsigned long)XML_GetCurrentLineNumber(r->parser), what);
	XML_StopParser(r->parser, XML_FALSE);
}

static void
link_node(struct xml_reader *r, struct xml_node *node)
{
	struct xml_level *parent;

	if (r->depth == 0) {
		r->root = node;
		return;
	}
	parent = &r->levels[r->depth - 1];
	if (parent->last_child == NULL)
		parent->node->children = node;
	else
		parent->last_child->next = node;
	parent->last_child = node;
}

static void XMLCALL
on_element_start(void *context, const XML_Char *name, const XML_Char **attributes)
{
	struct xml_reader *r = context;
	const char *colon = strrchr(name, ':');
	struct xml_node *node;
	struct xml_level *level;

	(void)attributes;
	if (r->rc != 0)
		return;
	if (r->depth == r->limits->depth_max || ++r->elements > r->limits->elements_max) {
		reader_fail(r, ERR_TOO_LARGE, "too many elements or levels");
		return;
	}
	node = arena_alloc(r->arena, sizeof(*node));
	if (node != NULL)
		node->name = arena_string(r->arena,
		    slice_from_string(colon != NULL ? colon + 1 : name));
	if (node == NULL || node->name == NULL) {
		reader_fail(r, ERR_TOO_LARGE, "the document is too large");
		return;
	}
	node->text = "";
	link_node(r, node);
	level = &r->levels[r->depth++];
	level->node = node;
	level->last_child = NULL;
	buf_reset(&level->text);
}

static bool
is_blank(struct slice s)
{
	const char *p = s.data;
	size_t i;

	for (i = 0; i < s.bytes; i++)
		if (strchr(" \t\r\n", p[i]) == NULL)
			return (false);
	return (true);
}

static void XMLCALL
on_element_end(void *context, const XML_Char *name)
{
	struct xml_reader *r = context;
	struct xml_level *level;
	struct slice text;

	(void)name;
	if (r->rc != 0)
		return;
	assert(r->depth > 0);
	level = &r->levels[--r->depth];
	text = buf_slice(&level->text);
	if (text.bytes == 0 || (level->last_child != NULL && is_blank(text)))
		return;
	level->node->text = arena_string(r->arena, text);
	if (level->node->text == NULL)
		reader_fail(r, ERR_TOO_LARGE, "the document is too large");
}

static void XMLCALL
on_text(void *context, const XML_Char *text, int bytes)
{
	struct xml_reader *r = context;

	if (r->rc == 0 && r->depth > 0)
		buf_append(&r->levels[r->depth - 1].text, text, (size_t)bytes);
}

static void XMLCALL
on_doctype(void *context, const XML_Char *name, const XML_Char *system, const XML_Char *public,
    int has_internal_subset)
{
	(void)name;
	(void)system;
	(void)public;
	(void)has_internal_subset;
	reader_fail(context, ERR_INVALID, "a document type declaration is not allowed");
}

static int
reader_run(struct xml_reader *r, struct slice document)
{
	XML_SetUserData(r->parser, r);
	XML_SetElementHandler(r->parser, on_element_start, on_element_end);
	XML_SetCharacterDataHandler(r->parser, on_text);
	XML_SetStartDoctypeDeclHandler(r->parser, on_doctype);
	if (XML_Parse(r->parser, document.data, (int)document.bytes, 1) == XML_STATUS_OK)
		return (r->rc);
	if (r->rc == 0)
		r->rc = err_set(r->e, ERR_INVALID, "XML line %lu: %s",
		    (unsigned long)XML_GetCurrentLineNumber(r->parser),
		    XML_ErrorString(XML_GetErrorCode(r->parser)));
	return (r->rc);
}

int
xml_parse(struct arena *a, struct slice document, const struct xml_limits *limits,
    struct xml_node **root, struct err *e)
{
	struct xml_reader r = { .arena = a, .limits = limits, .e = e };
	unsigned i;
	int rc;

	assert(limits->depth_max > 0 && limits->bytes_max <= INT32_MAX);
	*root = NULL;
	if (document.bytes == 0)
		return (err_set(e, ERR_INVALID, "the XML document is empty"));
	if (document.bytes > limits->bytes_max)
		return (err_set(e, ERR_TOO_LARGE, "an XML document of %zu bytes, more than %zu",
		    document.bytes, limits->bytes_max));
	r.levels = arena_alloc(a, limits->depth_max * sizeof(*r.levels));
	if (r.levels == NULL)
		return (err_set(e, ERR_TOO_LARGE, "no memory left for the XML document"));
	r.parser = XML_ParserCreate(NULL);
	if (r.parser == NULL)
		return (err_set(e, ERR_NOMEM, "cannot make an XML parser"));
	rc = reader_run(&r, document);
	if (rc == 0)
		*root = r.root;
	XML_ParserFree(r.parser);
	for (i = 0; i < limits->depth_max; i++)
		buf_release(&r.levels[i].text);
	return (rc);
}

const struct xml_node *
xml_child(const struct xml_node *node, const char *name)
{
	const struct xml_node *child = node != NULL ? node->children : NULL;

	while (child != NULL && strcmp(child->name, name) != 0)
		child = child->next;
	return (child);
}

const char *
xml_child_text(const struct xml_node *node, const char *name)
{
	const struct xml_node *child = xml_child(node, name);

	return (child != NULL ? child->text : NULL);
}

const struct xml_node *
xml_next(const struct xml_node *node, const char *name)
{
	const struct xml_node *next = node->next;

	while (next != NULL && strcmp(next->name, name) != 0)
		next = next->next;
	return (next);
}
