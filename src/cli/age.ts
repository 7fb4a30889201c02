/** Spans as kubectl prints them: two units at most, the smaller one only while it matters (k8s.io/apimachinery duration.HumanDuration). */

const [SECOND, MINUTE, HOUR, DAY, YEAR] = [1000, 60_000, 3_600_000, 86_400_000, 365 * 86_400_000];

/** `spanMs` below 0, of clocks that disagree, is `0s`. */
export function formatAge(spanMs: number): string {
  const span = Math.max(0, spanMs);
  const whole = (unit: number): number => Math.floor(span / unit);
  const pair = (unit: number, name: string, part: number, partName: string): string => {
    const rest = Math.floor((span % unit) / part);
    return `${whole(unit)}${name}${rest === 0 ? '' : `${rest}${partName}`}`;
  };
  if (span < 2 * MINUTE) return `${whole(SECOND)}s`;
  if (span < 10 * MINUTE) return pair(MINUTE, 'm', SECOND, 's');
  if (span < 3 * HOUR) return `${whole(MINUTE)}m`;
  if (span < 8 * HOUR) return pair(HOUR, 'h', MINUTE, 'm');
  if (span < 2 * DAY) return `${whole(HOUR)}h`;
  if (span < 8 * DAY) return pair(DAY, 'd', HOUR, 'h');
  if (span < 2 * YEAR) return `${whole(DAY)}d`;
  return span < 8 * YEAR ? pair(YEAR, 'y', DAY, 'd') : `${whole(YEAR)}y`;
}

export const formatTime = (at: number): string => `${new Date(at).toISOString().replace('T', ' ').slice(0, 19)} UTC`;
export const formatExactTime = (at: number): string => new Date(at).toISOString().replace('T', ' ').replace('Z', ' UTC');
