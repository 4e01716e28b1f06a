-- SPDX-License-Identifier: Apache-2.0
SELECT mh_collector_adopt($1::int2, $2::uuid, $3::int8 * interval '1 microsecond', $4::int8)::bool
