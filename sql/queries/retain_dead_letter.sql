-- SPDX-License-Identifier: Apache-2.0
DELETE FROM dead_letter
WHERE (host_id, epoch, seq) IN (SELECT host_id, epoch, seq FROM dead_letter
                                WHERE rcv < $1::timestamptz LIMIT $2::int4)
