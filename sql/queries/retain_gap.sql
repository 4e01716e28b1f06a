-- SPDX-License-Identifier: Apache-2.0
DELETE FROM gap
WHERE (host_id, epoch, from_seq) IN (SELECT host_id, epoch, from_seq FROM gap
                                     WHERE t_last < $1::timestamptz LIMIT $2::int4)
