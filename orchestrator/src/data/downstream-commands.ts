// The commands of slip-data for the sets that models are evaluated on: preparing and checking them. docs/downstream-sets.md.
import os from 'node:os';
import path from 'node:path';
import { nearestName, SlipError } from '@slip/core';
import { DOWNSTREAM_SETS, type DownstreamSet, downstreamSet, locateInCatalog } from '@slip/data';
import type { VerifiedSplit } from '@slip/data/prepare';
import type { Argv } from 'yargs';
import { asData, say, thousands, wantWhole } from './make-commands.js';
import { openProgress } from './progress.js';

const NAMES = DOWNSTREAM_SETS.map(({ name }) => name);
const ROOT = { type: 'string', default: '.data/sets', description: 'folder that has a folder for each set' } as const;

export function withPrepare(page: Argv): Argv {
  return page.command(
    'prepare <set>',
    'a set for zeroshot, linear and finetune: downloaded, or sorted from its unpacked archive',
    (command) =>
      command
        .positional('set', { type: 'string', demandOption: true, description: `one of ${NAMES.join(', ')}` })
        .option('root', ROOT)
        .option('source', { type: 'string', description: "folder of the set's official archive, unpacked" })
        .option('copy', { type: 'boolean', default: false, description: 'copy pictures instead of linking to them' })
        .option('base', { type: 'string', description: 'another server with the published archives' })
        .option('rename', {
          type: 'boolean',
          default: false,
          description: 'only give class folders the names that sort right',
        })
        .epilogue('What each set needs is in docs/downstream-sets.md.'),
    async ({ set: name, root, source, copy, base, rename }) => {
      const set = wantSet(name);
      const target = path.resolve(root, name);
      if (rename) await renameFolders(set, root);
      else await asData(prepare(set, target, { source, copy, base }), target);
      say(`check it with: slip-data verify ${name} --root ${root}`);
    },
  );
}

interface PrepareFlags {
  readonly source: string | undefined;
  readonly copy: boolean;
  readonly base: string | undefined;
}

async function prepare({ name }: DownstreamSet, target: string, { source, copy, base }: PrepareFlags): Promise<void> {
  const { BINARY_ARCHIVES, FER_HOLDS, LIST_SOURCES, OFFICIAL_ARCHIVES, ...work } = await import('@slip/data/prepare');
  const archives = BINARY_ARCHIVES[name];
  if (archives !== undefined) {
    const { prepareBinaries } = await import('./prepare-binaries.js');
    const progress = openProgress('downloading');
    const server = base === undefined ? {} : { base: base.endsWith('/') ? base : `${base}/` };
    await prepareBinaries({ archives, target, ...server, onProgress: progress.update }).finally(progress.close);
    say(`made ${path.join(target, archives.folder)}`);
    return;
  }
  const holds = name === 'fer2013' ? FER_HOLDS : (OFFICIAL_ARCHIVES[name]?.holds ?? LIST_SOURCES[name]);
  if (holds === undefined) {
    throw new SlipError(
      'config',
      `${name} has to be made by hand: docs/downstream-sets.md has the steps, and slip-data verify ${name} checks the result`,
    );
  }
  if (source === undefined) throw new SlipError('config', `--source is missing: a folder with ${holds}`);
  if (LIST_SOURCES[name] !== undefined) {
    await work.refuseExisting(target);
    const splits = await work.readListSource(name, source);
    await work.writeLists(splits, target);
    const counts = splits.map(({ split, images }) => `${split} ${thousands(images.length)}`);
    say(`made ${target}: ${counts.join(', ')} pictures, by their paths`);
    return;
  }
  if (name === 'fer2013') {
    const progress = openProgress('writing');
    const count = await work.writeFer(source, target, progress.update).finally(progress.close);
    say(`made ${target}: ${thousands(count)} pictures`);
    return;
  }
  const pictures = await work.classifiedPictures(name, source);
  const progress = openProgress(copy ? 'copying' : 'linking');
  await work.sortPictures(pictures, target, copy ? 'copy' : 'link', progress.update).finally(progress.close);
  say(`made ${target}: ${thousands(pictures.length)} pictures${copy ? '' : `, as links into ${source}`}`);
}

async function renameFolders({ name, form }: DownstreamSet, root: string): Promise<void> {
  if (form !== 'image-folder') throw new SlipError('config', `--rename: ${name} has no class folders`);
  const { renameClassFolders } = await import('@slip/data/prepare');
  const { train, validation } = await locateInCatalog({ catalog: '', root }, name);
  for (const folder of new Set([train.root, validation.root]))
    say(`${folder}: ${await renameClassFolders(name, folder)} folders renamed`);
}

export interface VerifySetFlags {
  readonly root: string;
  readonly jobs: number;
}

/** `slip-data verify SET`. @throws SlipError `data` when anything is wrong, after all of it was told */
export async function verifySet(name: string, { root, jobs }: VerifySetFlags): Promise<void> {
  wantSet(name);
  wantWhole('--jobs', jobs, 1, 1024);
  const { verifyLabelled } = await import('@slip/data/prepare');
  const progress = openProgress('verifying');
  const place = { catalog: '', root: root === '' ? ROOT.default : root };
  const options = { place, name, concurrency: jobs, progress: progress.update };
  const splits = await verifyLabelled(options).finally(progress.close);
  for (const split of splits) tell(split);
  const bad = splits.reduce((sum, split) => sum + split.bad.length, 0);
  const unseen = splits.find(({ seen, classes }) => seen < classes);
  if (bad > 0) throw new SlipError('data', `${thousands(bad)} pictures of ${name} cannot be read`);
  if (unseen !== undefined)
    throw new SlipError(
      'data',
      `${name}: only ${unseen.seen} of ${unseen.classes} classes have pictures in ${unseen.split}`,
    );
}

/** Pictures that are looked at together. */
export const USUAL_JOBS = 4 * os.availableParallelism();

const SHOWN = 10;

function tell({ split, images, classes, warning, bad }: VerifiedSplit): void {
  say(`${split}: ${thousands(images - bad.length)} of ${thousands(images)} pictures can be read, ${classes} classes`);
  if (warning !== undefined) say(`  ${warning}`);
  for (const message of bad.slice(0, SHOWN)) say(`  ${message}`);
}

function wantSet(name: string): DownstreamSet {
  const set = downstreamSet(name);
  if (set !== undefined) return set;
  const meant = nearestName(name, NAMES);
  const hint = meant === undefined ? `there are ${NAMES.join(', ')}` : `did you mean ${meant}?`;
  throw new SlipError('config', `${name} is not a set that is known here; ${hint}`);
}
