-- SPDX-License-Identifier: Apache-2.0
INSERT INTO counter (name, value)
VALUES ($1::text, 1)
ON CONFLICT (name) DO UPDATE SET value = counter.value + 1
RETURNING value::int8
