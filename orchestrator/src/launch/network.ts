// Addresses of this machine: which one others reach us at, and which one to listen on. No name service of our own.
import { createSocket } from 'node:dgram';
import { lookup } from 'node:dns/promises';
import os from 'node:os';
import { SlipError } from '@slip/core';

export interface Endpoint {
  readonly host: string;
  readonly port: number;
}

/**
 * Reads `host:port` or `host`; IPv6 addresses are not supported.
 * @throws SlipError `config`
 */
export function parseEndpoint(flag: string, text: string, defaultPort: number): Endpoint {
  const match = /^([^:\s]+)(?::(\d+))?$/.exec(text);
  const port = match?.[2] === undefined ? defaultPort : Number(match[2]);
  if (match === null || port > 65535)
    throw new SlipError('config', `--${flag} ${text}: expected HOST:PORT, for example node0:29500`);
  return { host: match[1]!, port };
}

/** The IPv4 address of a host name. @throws SlipError `rendezvous` */
export async function resolveHost(host: string): Promise<string> {
  try {
    return (await lookup(host, { family: 4 })).address;
  } catch (error) {
    throw new SlipError('rendezvous', `the host ${host} of --rdzv-endpoint cannot be resolved on ${os.hostname()}`, {
      cause: error,
    });
  }
}

/** Where to listen so that the others find us at `address`: that interface if it is ours, else (NAT) all of them. */
export function bindHost(address: string): string {
  const own = Object.values(os.networkInterfaces()).flatMap((addresses) => addresses ?? []);
  return address.startsWith('127.') || own.some((entry) => entry.address === address) ? address : '*';
}

/** The IPv4 address of the first of these interfaces that this machine has. @throws SlipError `rendezvous` naming those it has */
export function addressOfInterface(
  names: readonly string[],
  interfaces: Readonly<
    NodeJS.Dict<readonly { readonly address: string; readonly family: string }[]>
  > = os.networkInterfaces(),
): string {
  for (const name of names) {
    const address = interfaces[name]?.find(({ family }) => family === 'IPv4')?.address;
    if (address !== undefined) return address;
  }
  const here = Object.keys(interfaces).filter((name) => interfaces[name]?.some(({ family }) => family === 'IPv4'));
  throw new SlipError(
    'rendezvous',
    `--comm-interface ${names.join(',')}: ${os.hostname()} has none of them with an IPv4 address, only ${here.join(', ')}`,
  );
}

/** The first IPv4 address that other machines may reach, or the loopback's where there is no network. */
export function firstOwnAddress(): string {
  const own = Object.values(os.networkInterfaces()).flatMap((addresses) => addresses ?? []);
  return own.find((entry) => entry.family === 'IPv4' && !entry.internal)?.address ?? '127.0.0.1';
}

/** The address of the interface from which this machine would talk to `target`; sends nothing. */
export async function localAddressTowards(target: string): Promise<string> {
  const socket = createSocket('udp4');
  try {
    await new Promise<void>((resolve, reject) => {
      socket.once('error', reject);
      socket.connect(9, target, () => resolve());
    });
    return socket.address().address;
  } catch (error) {
    throw new SlipError('rendezvous', `no route from this machine to ${target}; see --rdzv-endpoint and --local-addr`, {
      cause: error,
    });
  } finally {
    socket.close();
  }
}
