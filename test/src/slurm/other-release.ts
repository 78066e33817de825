// For tests: the Slurm of another Debian, in a folder that make-root.sh makes once.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';

const script = path.resolve(import.meta.dirname, '../../../slurm/test-cluster/make-root.sh');

/** Where it is kept between runs. */
const folder = process.env.SLIP_SLURM_ROOT ?? path.join(os.tmpdir(), 'slip-slurm-trixie');

/** For the `skip` option of a test: a sentence where there is no such folder and none can be made. */
export function skipWithoutRoot(): string | false {
  if (process.getuid?.() !== 0) return 'another release of Slurm needs root: it runs in a mount namespace';
  if (existsSync(path.join(folder, '.slurm-root'))) return false;
  const isInstalled = ['/usr/sbin', '/usr/bin', '/usr/local/sbin'].some((bin) => existsSync(`${bin}/debootstrap`));
  return isInstalled ? false : `debootstrap is not installed, and ${folder} (SLIP_SLURM_ROOT) has no Slurm`;
}

/** The folder, made by debootstrap at the first time, which takes some minutes. */
export function makeRoot(): string {
  const { status, stdout, stderr } = spawnSync(script, ['--root', folder], { encoding: 'utf8' });
  if (status !== 0) throw new Error(`make-root.sh ended with ${status}: ${stderr}`);
  console.log(stdout.trim());
  return folder;
}
