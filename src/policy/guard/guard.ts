/** Id of the rule that these findings are of. */
export const guardId = 'operator-node-guard';

/** As many of a kind as one message lists. */
export const maxListed = 3;
