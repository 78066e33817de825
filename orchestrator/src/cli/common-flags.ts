// Flags of slip-launch itself, and those of the original program that mean nothing here. Data only.
import type { FlagDefinition } from '@slip/config/flags';

export const CLI_FLAGS: readonly FlagDefinition[] = [
  { name: 'recipe', type: 'string', description: 'a file, or a name in configs/, such as quickstart' },
  { name: 'dry-run', type: 'boolean', description: 'print what would run, and start nothing' },
  { name: 'help', alias: ['h'], type: 'boolean', description: 'print this' },
  { name: 'version', type: 'boolean', description: 'print the version' },
];

/** Told to the original by its launcher; here slip-launch knows them. Accepted, each with one line. */
export const LEGACY_FLAGS: readonly FlagDefinition[] = [
  { name: 'dist-url', type: 'string', description: 'workers find each other through slip-launch', hidden: true },
  { name: 'dist-backend', type: 'string', description: 'collectives run over ZeroMQ', hidden: true },
  { name: 'gpu', type: 'string', description: 'each worker takes the device of its local rank', hidden: true },
  { name: 'world-size', type: 'string', description: 'given by --nnodes and --nproc', hidden: true },
  { name: 'rank', type: 'string', description: 'given by --node-rank and the local rank', hidden: true },
  { name: 'local-rank', type: 'string', description: 'given to each worker by its agent', hidden: true },
];
