/*
 * volume_format - the trailer that ends every unit of a volume's shard file. All numbers
 * little-endian.
 *
 *	 0  u32  crc32c of the payload followed by bytes 4..31 of the trailer
 *	 4  u16  payload bytes: of the unit without its trailer (4064 .. 65504)
 *	 6  u8   shard: 0 .. k+m-1
 *	 7  u8   version of this layout: 1 (a hole reads as 0)
 *	 8  u64  volume
 *	16  u64  offset of the row in the shard files
 *	24  u64  write-id of the extent
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef HF_STORE_VOLUME_FORMAT_H
#define HF_STORE_VOLUME_FORMAT_H

#include "libstore/volume/volume.h"

#define VOLUME_TRAILER_VERSION	1

#define TRAILER_CRC		0
#define TRAILER_PAYLOAD		4
#define TRAILER_SHARD		6
#define TRAILER_VERSION		7
#define TRAILER_VOLUME		8
#define TRAILER_OFFSET		16
#define TRAILER_WRITE_ID	24

_Static_assert(TRAILER_WRITE_ID + 8 == VOLUME_TRAILER_BYTES, "the trailer is 32 bytes");
_Static_assert(VOLUME_PAYLOAD_BYTES <= UINT16_MAX, "a payload's length fits its field");
_Static_assert(VOLUME_UNIT_BYTES % VOLUME_ALIGN_BYTES == 0, "units are aligned");

#endif
