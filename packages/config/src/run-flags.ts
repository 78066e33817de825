// The flags that every training task has: where a run lives and what it saves, and how it computes and communicates.
import { count, type FlagDefinition, group, real, size, text, toggle } from './flag-definition.js';
import { TRANSPORT_HELP, TRANSPORTS } from './transport.js';

/** Folder, checkpoints, output. */
export const RUN_FLAGS: readonly FlagDefinition[] = group('Run', [
  text('output-dir', './', 'run folder; an existing run continues', { mayChange: true }),
  text('resume', '', 'checkpoint to start from where the run folder has none', { mayChange: true }),
  text('pretrained', '', 'published model, or file or folder of weights, that a run without checkpoints starts from', {
    mayChange: true,
  }),
  count('checkpoint-every-steps', 0, 'save every so many steps too; 0 is at the end of epochs only', {
    mayChange: true,
  }),
  real('checkpoint-every-minutes', 0, 'save every so many minutes too', { mayChange: true }),
  real('checkpoint-overhead', 0, 'save as often as costs so many percent of the time, measured; 0 is not at all', {
    max: 100,
    percent: true,
    mayChange: true,
  }),
  count('keep-checkpoints', 3, 'newest checkpoints kept', { min: 1, mayChange: true }),
  count('keep-every', 0, 'keep those besides whose step is a multiple of it', { mayChange: true }),
  text('checkpoint-mode', 'async', 'train on while a copy in memory is written, or wait', {
    choices: ['async', 'sync'],
    mayChange: true,
  }),
  count('checkpoint-writers', 0, 'ranks that write a checkpoint side by side; 0 is one for each 64 MiB', {
    mayChange: true,
  }),
  text('on-checkpoint-error', 'continue', 'a save that fails is reported, or ends the run; the last save always does', {
    choices: ['continue', 'stop'],
    mayChange: true,
  }),
  count('print-freq', 10, 'steps between lines', { alias: ['p'], min: 1, mayChange: true }),
  count('profile', 0, 'record so many steps, from the second on, as a Chrome trace in profile/ of the run folder', {
    mayChange: true,
  }),
  toggle('wandb', 'stream metrics to Weights & Biases (project slip)', { mayChange: true }),
]);

/** Device, threads, reductions and communication. */
export const COMPUTE_FLAGS: readonly FlagDefinition[] = group('Compute', [
  text('device', 'cpu', 'where to compute; auto is the best that is here. slip-launch doctor tells what each needs', {
    choices: ['auto', 'cpu', 'webgpu', 'cuda', 'tensorflow'],
  }),
  text(
    'precision',
    'auto',
    'fp32, or mixed with these halves as autocast does; auto is fp16 for pre-training on cuda, else fp32',
    {
      choices: ['auto', 'fp32', 'fp16', 'bf16'],
    },
  ),
  toggle('disable-amp', 'the same as --precision fp32', { mayChange: true }),
  toggle('grad-checkpointing', 'keep only the input of each block and compute the rest again: less memory, more time', {
    mayChange: true,
  }),
  count('threads', 0, 'compute threads per worker; 0 shares the cores of the node', { mayChange: true }),
  text('transport', 'shared', TRANSPORT_HELP, {
    choices: TRANSPORTS,
    mayChange: true,
  }),
  text(
    'reduce',
    'fixed',
    'sums in an order that is fixed for a number of ranks, or the same bits on 1, 2, 4, ... ranks',
    {
      choices: ['fixed', 'invariant'],
    },
  ),
  count('reduce-shards', 8, 'virtual ranks of --reduce invariant: the largest number of ranks', size),
  text(
    'compress',
    'none',
    'gradients travel between machines as halves (sums stay fp32), or everywhere as thin factors with error feedback ' +
      '(powersgd: worth its arithmetic on slow links between machines, pointless on one)',
    { choices: ['none', 'bf16', 'fp16', 'powersgd'] },
  ),
  count('powersgd-rank', 4, 'columns of the factors of --compress powersgd', { min: 1, max: 64 }),
  count('powersgd-start', 0, 'steps of plain reduction before --compress powersgd begins'),
  text('comm-encryption', 'auto', 'what ranks send is encrypted: between hosts, always, or never', {
    choices: ['auto', 'on', 'off'],
    mayChange: true,
  }),
  real('bucket-mb', 25, 'gradients leave during the backward pass in buckets of so many MB; 0: all at its end', {
    min: 0,
    mayChange: true,
  }),
  text('comm-thread', 'auto', 'collectives run in a thread of their own; auto: where ranks talk over sockets', {
    choices: ['auto', 'on', 'off'],
    mayChange: true,
  }),
  real('comm-timeout', 60, 'seconds to wait for another rank', { min: 0.1, mayChange: true }),
]);
