/*
 * config_table - prints the rows of schema/config.def, as the sample config file or as the key
 * section of holdfast.conf(5). Runs while building.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>
#include <string.h>

#include "libbase/config.h"

int
main(int argc, char **argv)
{
	struct buf text = BUF_INIT;
	int status;

	if (argc == 2 && strcmp(argv[1], "sample") == 0)
		config_print_sample(&text);
	else if (argc == 2 && strcmp(argv[1], "man") == 0)
		config_print_man(&text);
	else
		return (2);
	status = fwrite(text.data, 1, text.bytes, stdout) != text.bytes || fflush(stdout) != 0;
	buf_release(&text);
	return (status);
}
