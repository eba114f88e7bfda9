/** Also the harness's default. A unix socket, since nobody's HTTP_PROXY gets between. */
export const GUEST_SOCKET = "/run/aegis/guestd.sock";

/** How the commands reach the Guest API, and what they say where there is none. */
export const guestEndpoint = (env: Readonly<Record<string, string | undefined>>) => {
  const socketPath = env["AEGIS_GUEST_SOCKET"] ?? GUEST_SOCKET;
  return {
    socketPath,
    absent: `no Guest API at ${socketPath}: this command works inside of an Aegis instance only`,
  };
};
