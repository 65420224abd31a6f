#ifndef PURSER_CCRYPTO_SHIM_H
#define PURSER_CCRYPTO_SHIM_H

// OpenSSL 3 marks SHA256_Init and its kin as deprecated in favour of EVP; SHA256.swift says why they are used.
#define OPENSSL_SUPPRESS_DEPRECATED

#include <openssl/crypto.h>
#include <openssl/sha.h>

#endif
