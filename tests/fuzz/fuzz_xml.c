/*
 * fuzz_xml - any bytes as a document, and as a text that the writer must make well-formed.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <assert.h>

#include "libhttp/xml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static void
walk(const struct xml_node *node, unsigned depth)
{
	assert(depth <= 8 && node->name != NULL && node->text != NULL);
	for (node = node->children; node != NULL; node = node->next)
		walk(node, depth + 1);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
	static const struct xml_limits limits = { 65536, 1000, 8 };
	static const struct xml_limits large = { 1 << 23, 10, 2 };
	struct buf text = BUF_INIT;
	struct xml_node *root;
	struct arena arena;
	struct err e = ERR_INIT;

	arena_init(&arena, 1 << 24);
	if (xml_parse(&arena, SLICE(data, bytes), &limits, &root, &e) == 0)
		walk(root, 1);
	else
		assert(root == NULL && e.text[0] != '\0');
	xml_element_slice(&text, "a", SLICE(data, bytes));
	assert(xml_parse(&arena, buf_slice(&text), &large, &root, &e) == 0);
	assert(root->children == NULL && (root->text[0] != '\0') == (bytes > 0));
	buf_release(&text);
	arena_release(&arena);
	return (0);
}
