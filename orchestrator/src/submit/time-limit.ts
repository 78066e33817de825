// Time limits as Slurm writes them. Pure.
import { SlipError } from '@slip/core';

/** minutes, MM:SS, H:MM:SS, D-HH, D-HH:MM, D-HH:MM:SS. @returns minutes, parts of one counted as one */
export function parseTimeLimit(flag: string, text: string): number {
  const match = /^(?:(\d+)-)?(\d+)(?::(\d+))?(?::(\d+))?$/.exec(text);
  if (match === null) throw wrong(flag, text);
  const [days, first, second, third] = [match[1], match[2], match[3], match[4]].map((part) => Number(part ?? 0)) as [
    number,
    number,
    number,
    number,
  ];
  // Without days, one number is minutes and two are minutes and seconds; with days it begins with hours.
  const hoursFirst = match[1] !== undefined || match[4] !== undefined;
  const seconds = hoursFirst ? first * 3600 + second * 60 + third : first * 60 + second;
  const minutes = Math.ceil((days * 86_400 + seconds) / 60);
  if (minutes === 0) throw wrong(flag, text);
  return minutes;
}

/** `1-22:40:00` for 2800. */
export function formatTimeLimit(minutes: number): string {
  const [days, hours] = [Math.floor(minutes / 1440), Math.floor((minutes % 1440) / 60)];
  const clock = [hours, minutes % 60, 0].map((part) => String(part).padStart(2, '0')).join(':');
  return days === 0 ? clock : `${days}-${clock}`;
}

function wrong(flag: string, text: string): SlipError {
  return new SlipError('config', `--${flag} ${text}: expected minutes, H:MM:SS or D-HH:MM:SS, above zero`);
}
