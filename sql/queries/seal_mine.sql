-- SPDX-License-Identifier: Apache-2.0
-- Whose batches are sealed ($1) by this process ($2)? No row: another has taken them over. It cannot
-- while this transaction lasts.
SELECT true FROM collector WHERE collector_id = $1::int2 AND boot = $2::uuid FOR KEY SHARE
