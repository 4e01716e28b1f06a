/* SPDX-License-Identifier: Apache-2.0 */
/*
 * enroll.h - the enrolment port: a one-time secret and a CSR become a host and its certificate.
 *
 * The agent knows our CA by the pin in its token before it says the secret. The collector chooses
 * the host's identity (a random UUID) and ignores every name in the CSR. Secrets are compared by
 * their SHA-256 in the database, where taking one use and adding the host are one transaction.
 */
#ifndef MEMHERD_COLLECTOR_FLEET_ENROLL_H
#define MEMHERD_COLLECTOR_FLEET_ENROLL_H

#include "collector/fleet/listener.h"
#include "collector/fleet/registry.h"
#include "collector/store/db.h"

#define ENROLL_CERT_DAYS    90
#define ENROLL_DEADLINE_SEC 15

struct enroller;
struct tls_ca;
struct tls_ctx;

struct enroll_config {
	struct tls_ca *ca;
	struct tls_ctx *tls;
	struct db *db;
	struct registry *registry;
	const uint8_t *command_key; /* SIGN_KEY_SIZE bytes, kept by the caller */
	uint16_t stream_port;
};

int enroller_new(struct event_base *base, const struct enroll_config *config,
		 struct enroller **ret) must_use;
void enroller_free(struct enroller **e);
/* For listener_new(): arg is the struct enroller. */
void enroller_accept(void *arg, int fd, const struct admission *a);

#endif
