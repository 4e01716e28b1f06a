-- SPDX-License-Identifier: Apache-2.0
LOCK TABLE audit IN SHARE ROW EXCLUSIVE MODE
