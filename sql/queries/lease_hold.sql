-- SPDX-License-Identifier: Apache-2.0
-- First in a leader's transaction.
SELECT mh_fenced($1::int8)::bool
