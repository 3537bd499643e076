import { clip } from '../../policy/kube/text.ts';

/**
 * A row as RFC 4180 has it. A cell that a spreadsheet would take for a formula (owasp.org/www-community/attacks/CSV_Injection) begins with an
 * apostrophe: names of users and objects are chosen by those who are recorded.
 */
export function csvRow(cells: readonly string[]): string {
  return `${cells.map(csvCell).join(',')}\r\n`;
}

function csvCell(cell: string): string {
  // A number is what it says.
  const isFormula = /^[=+\-@\t\r\n＝＋－＠]/.test(cell) && !/^-?\d+(\.\d+)?$/.test(cell);
  // A log that is forged may hold what the server writes in none: what moves a terminal's cursor, or turns text around.
  const safe = clip(isFormula ? `'${cell}` : cell, Number.MAX_SAFE_INTEGER);
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}
