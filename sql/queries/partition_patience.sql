-- SPDX-License-Identifier: Apache-2.0
-- Of this transaction: what is stored waits behind a DROP that waits for a reader.
SELECT set_config('lock_timeout', '200ms', true)::text
