/** Id of the rule that these findings are of. */
export const guardId = 'operator-node-guard';
