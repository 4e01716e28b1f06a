-- SPDX-License-Identifier: Apache-2.0
SELECT cmd_id::uuid FROM command WHERE cmd_id = $1::uuid LIMIT 1
