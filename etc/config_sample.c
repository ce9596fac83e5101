/*
 * config_sample - prints the sample config file from the rows of schema/config.def. Runs while
 * building.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>

#include "libbase/config.h"

int
main(void)
{
	struct buf text = BUF_INIT;
	int status;

	config_print_sample(&text);
	status = fwrite(text.data, 1, text.bytes, stdout) != text.bytes || fflush(stdout) != 0;
	buf_release(&text);
	return (status);
}
