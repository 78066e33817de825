// Which ranks share a machine. Pure.

export interface Topology {
  /** Ranks of each machine in ascending order; machines in the order of their first rank. */
  readonly nodes: readonly (readonly number[])[];
  /** The own machine among them, and the own place on it. */
  readonly node: number;
  readonly index: number;
}

/** @param keys for every rank what it has in common with those that it can share memory with */
export function topologyOf(keys: readonly string[], rank: number): Topology {
  const byKey = new Map<string, number[]>();
  for (const [r, key] of keys.entries()) byKey.set(key, [...(byKey.get(key) ?? []), r]);
  const nodes = [...byKey.values()];
  const node = nodes.findIndex((ranks) => ranks.includes(rank));
  return { nodes, node, index: nodes[node].indexOf(rank) };
}

/** Two levels need a partner with the same place on every machine. @returns why not, or undefined */
export function unfitForTwoLevels({ nodes }: Topology): string | undefined {
  const sizes = new Set(nodes.map((ranks) => ranks.length));
  if (sizes.size > 1)
    return `machines have different numbers of ranks (${nodes.map((ranks) => ranks.length).join(', ')})`;
  if (nodes[0].length === 1) return 'no two ranks share a machine';
  return undefined;
}
