"""Searches for the edit that takes a spurious feature, or a class, out of a head.

settings       what is asked for, read once
where          on which device, and the CPU where that cannot
problem        the margins that a change of one row moves, and what a search found
scan           one number: all thresholds in one sorted pass
one_weight     the best single weight, or the bias alone
mean_gain      the same for rows that cannot lift the worst group, by bounds
smoothed       the score of any edit on smoothed group accuracies, with its curvature
grow           one weight more, of any row, and all numbers fitted again
pair           one weight and the bias together, exact for few probes
several        every size of edit, from none to a few weights and the biases of their rows
closed_forms   what needs no search: `evidence` and `paired`
mistakes       right and wrong pictures made into probes, or refused
guarded        the edit that mends most while right pictures stay right
mend           `mistakes` from its pictures to an edit and what is beside it
fitting        every size fitted once, each judged on probes that it was not chosen on
ladder         the sizes side by side, and which one to take
neutralize     settings in, edit and measurements out
remove_class   the same for a class that is to be predicted no longer
linear_head    a head for those who have none
"""
