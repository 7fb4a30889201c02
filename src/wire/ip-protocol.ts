/** IANA's protocol numbers, as found in IPv4's protocol and IPv6's next header field. */
export const IpProtocol = {
  icmp: 1,
  tcp: 6,
  udp: 17,
  icmpv6: 58,
  vrrp: 112,
} as const;
