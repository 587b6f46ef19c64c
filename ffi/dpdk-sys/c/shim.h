/* What the bindings are made of: the headers of DPDK, functions for what those have inline only,
 * and constants for what they have as macros that bindgen cannot read. */
#ifndef HIOLOAD_SHIM_H
#define HIOLOAD_SHIM_H

#include <rte_cycles.h>
#include <rte_dev.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_eth_ring.h>
#include <rte_ethdev.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <rte_mbuf.h>
#include <rte_mempool.h>
#include <rte_version.h>

/* Per burst. */
uint16_t shim_rx_burst(uint16_t port, uint16_t queue, struct rte_mbuf **mbufs, uint16_t count);
uint16_t shim_tx_burst(uint16_t port, uint16_t queue, struct rte_mbuf **mbufs, uint16_t count);
uint16_t shim_tx_prepare(uint16_t port, uint16_t queue, struct rte_mbuf **mbufs, uint16_t count);
int shim_mbuf_alloc_bulk(struct rte_mempool *pool, struct rte_mbuf **mbufs, unsigned int count);

/* Per mbuf. */
void shim_mbuf_free(struct rte_mbuf *mbuf);
int shim_mbuf_linearize(struct rte_mbuf *mbuf);
uint16_t shim_mbuf_refcnt_update(struct rte_mbuf *mbuf, int16_t by);
uint16_t shim_mbuf_refcnt_read(const struct rte_mbuf *mbuf);

/* Of the calling thread. */
unsigned int shim_lcore_id(void);
int shim_errno(void);
uint64_t shim_rdtsc(void);

static const uint32_t SHIM_LCORE_ID_ANY = LCORE_ID_ANY;
static const uint32_t SHIM_DEV_INTR_LSC = RTE_ETH_DEV_INTR_LSC;
static const int32_t SHIM_SOCKET_ID_ANY = SOCKET_ID_ANY;

static const uint64_t SHIM_RX_OFFLOAD_VLAN_STRIP = RTE_ETH_RX_OFFLOAD_VLAN_STRIP;
static const uint64_t SHIM_RX_OFFLOAD_IPV4_CKSUM = RTE_ETH_RX_OFFLOAD_IPV4_CKSUM;
static const uint64_t SHIM_RX_OFFLOAD_TCP_CKSUM = RTE_ETH_RX_OFFLOAD_TCP_CKSUM;
static const uint64_t SHIM_TX_OFFLOAD_IPV4_CKSUM = RTE_ETH_TX_OFFLOAD_IPV4_CKSUM;
static const uint64_t SHIM_TX_OFFLOAD_TCP_CKSUM = RTE_ETH_TX_OFFLOAD_TCP_CKSUM;

/* TCP and plain IP: what an lcore's flows can be told apart by. */
static const uint64_t SHIM_RSS_IP_TCP = RTE_ETH_RSS_IP | RTE_ETH_RSS_TCP;

static const uint64_t SHIM_MBUF_RX_VLAN_STRIPPED = RTE_MBUF_F_RX_VLAN_STRIPPED;
static const uint64_t SHIM_MBUF_RX_IP_CKSUM_GOOD = RTE_MBUF_F_RX_IP_CKSUM_GOOD;
static const uint64_t SHIM_MBUF_RX_IP_CKSUM_BAD = RTE_MBUF_F_RX_IP_CKSUM_BAD;
static const uint64_t SHIM_MBUF_RX_L4_CKSUM_GOOD = RTE_MBUF_F_RX_L4_CKSUM_GOOD;
static const uint64_t SHIM_MBUF_RX_L4_CKSUM_BAD = RTE_MBUF_F_RX_L4_CKSUM_BAD;
static const uint64_t SHIM_MBUF_TX_IPV4 = RTE_MBUF_F_TX_IPV4;
static const uint64_t SHIM_MBUF_TX_IPV6 = RTE_MBUF_F_TX_IPV6;
static const uint64_t SHIM_MBUF_TX_IP_CKSUM = RTE_MBUF_F_TX_IP_CKSUM;
static const uint64_t SHIM_MBUF_TX_TCP_CKSUM = RTE_MBUF_F_TX_TCP_CKSUM;

/* The bits of a checksum, of which both mean that the data are right and the field is not filled. */
_Static_assert(RTE_MBUF_F_RX_IP_CKSUM_NONE ==
	(RTE_MBUF_F_RX_IP_CKSUM_GOOD | RTE_MBUF_F_RX_IP_CKSUM_BAD), "");
_Static_assert(RTE_MBUF_F_RX_L4_CKSUM_NONE ==
	(RTE_MBUF_F_RX_L4_CKSUM_GOOD | RTE_MBUF_F_RX_L4_CKSUM_BAD), "");

static const uint32_t SHIM_MBUF_L2_LEN_BITS = RTE_MBUF_L2_LEN_BITS;
static const uint32_t SHIM_MBUF_L3_LEN_BITS = RTE_MBUF_L3_LEN_BITS;

#endif
