// The command line: spellings, positions, and what is said about mistakes.
import assert from 'node:assert/strict';
import test from 'node:test';
import type { FlagDefinition } from '@slip/config/flags';
import { nearestName } from '@slip/core';
import { LAUNCH_FLAGS } from '../launch/launch-flags.js';
import { flagsFromEnvironment, parseArguments } from './parse-arguments.js';

const flags: readonly FlagDefinition[] = [
  ...LAUNCH_FLAGS,
  { name: 'model', type: 'string', description: '' },
  { name: 'lr', type: 'number', description: '' },
  { name: 'betas', type: 'array', description: '' },
  { name: 'workers', alias: ['j'], type: 'number', description: '' },
  { name: 'disable-amp', type: 'boolean', description: '' },
];
const parse = (line: string) => parseArguments(line.split(' ').filter(Boolean), flags, ['pretrain']);

test('launch flags are understood before and after the task, which may be missing', () => {
  const expected = { task: 'pretrain', flags: { nproc: '8', model: 'SLIP_VITB16' } };
  assert.deepEqual(parse('--nproc 8 pretrain --model SLIP_VITB16'), expected);
  assert.deepEqual(parse('pretrain --nproc 8 --model SLIP_VITB16'), expected);
  assert.deepEqual(parse('pretrain --model=SLIP_VITB16 --nproc=8'), expected);
  assert.deepEqual(parse('--nproc 8'), { flags: { nproc: '8' } });
});

test("torchrun's spellings: aliases, underscores, short flags", () => {
  for (const spelling of ['--nproc_per_node 2', '--nproc-per-node=2', '--nproc 2', '--nproc_per-node 2'])
    assert.deepEqual(parse(spelling).flags, { nproc: '2' }, spelling);
  assert.deepEqual(parse('-r 3 -t 0:1 -j8 --disable_amp').flags, {
    redirects: '3',
    tee: '0:1',
    workers: 8,
    'disable-amp': true,
  });
});

test('every launch flag is known with hyphens and underscores', () => {
  for (const { name, type } of LAUNCH_FLAGS) {
    const value = type === 'boolean' ? '' : ' 1';
    assert.deepEqual(Object.keys(parse(`--${name}${value}`).flags), [name]);
    assert.deepEqual(Object.keys(parse(`--${name.replaceAll('-', '_')}${value}`).flags), [name]);
  }
});

test('lists end at the next flag or at the task; numbers may be negative', () => {
  assert.deepEqual(parse('--betas 0.9 0.98 pretrain --lr -1e-3'), {
    task: 'pretrain',
    flags: { betas: ['0.9', '0.98'], lr: -0.001 },
  });
});

test('switches can be turned off', () => {
  assert.deepEqual(parse('--no-disable-amp').flags, { 'disable-amp': false });
  assert.deepEqual(parse('--disable-amp=false').flags, { 'disable-amp': false });
});

test('mistakes are named, with the nearest valid flag', () => {
  for (const [line, message] of [
    ['--nprocs 2', /unknown flag --nprocs; did you mean --nproc\?/],
    ['--nprcs 2', /unknown flag --nprcs; did you mean --nproc\?/],
    ['--max_restart 2', /unknown flag --max_restart; did you mean --max-restarts\?/],
    ['--mdoel=x', /unknown flag --mdoel; did you mean --model\?/],
    ['--qwertyuiop', /unknown flag --qwertyuiop; see --help/],
    ['--lr fast', /--lr needs a number, found "fast"/],
    ['--model', /--model needs a value/],
    ['--model --lr 3', /--model needs a value/],
    ['--betas --lr 3', /--betas needs at least one value/],
    ['--disable-amp=maybe', /--disable-amp is a switch; found the value "maybe"/],
    ['pretrain again', /unexpected argument "again" after the task "pretrain"/],
  ] as const)
    assert.throws(() => parse(line), { code: 'config', message }, line);
  assert.equal(nearestName('ab', ['cd']), undefined);
});

test("the environment gives defaults under torchrun's names", () => {
  const environment = { PET_NPROC_PER_NODE: '4', PET_NNODES: '2', PET_STANDALONE: '1', PET_NODE_RANK: '1', OTHER: 'x' };
  assert.deepEqual(flagsFromEnvironment(LAUNCH_FLAGS, environment), {
    nproc: '4',
    nnodes: '2',
    standalone: true,
    'node-rank': 1,
  });
  assert.throws(() => flagsFromEnvironment(LAUNCH_FLAGS, { PET_NODE_RANK: 'first' }), {
    code: 'config',
    message: /PET_NODE_RANK needs a number/,
  });
});

test('a task may take words of its own', () => {
  const image: FlagDefinition = { name: 'image', type: 'array', repeatable: true, positional: true, description: '' };
  const parsed = parseArguments('predict a.jpg --lr 1 b.jpg --image c.jpg'.split(' '), [...flags, image], ['predict']);
  assert.deepEqual(parsed, { task: 'predict', flags: { image: ['c.jpg', 'a.jpg', 'b.jpg'], lr: 1 } });
});
