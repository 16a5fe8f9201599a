/* Hansa's agreement, one height, rounds 0 to ROUNDS-1: three honest validators and one liar.
 *
 * What the model is, what it leaves out, and how to run it: ../verification.md.
 * Switches: LOWER (a proposal need not take the highest prepared round), LATE (votes in rounds
 * already left), FORGET (a crash forgets own votes), REACH=r (claims that round r never decides),
 * ALIKE (execution gives all the same), SORTED (validators are interchangeable), ROUNDS (2 to 4).
 */
#ifndef ROUNDS
#define ROUNDS 3
#endif

#define NOTHING 1        /* a ROUND-CHANGE that names nothing prepared; 0: none was sent */
#define IN(round) (2 + (round)) /* one that names what was prepared in that round */

/* Contents are 0 (A) and 1 (B); a set of contents is two bits. Executing a content has outcome 0 or
 * 1, perhaps not the same at each validator: a block is a content and an outcome. */
typedef Validator {
    byte outcomes;             /* bit c: what own execution of content c gave */
    byte round;
    byte prepares[ROUNDS];     /* contents that it sent a PREPARE for, with its own outcome */
    byte commits[ROUNDS];      /* contents that it sent a COMMIT for, likewise */
    byte changes[ROUNDS];      /* ROUND-CHANGE sent: 0, NOTHING or IN(round) */
    byte may_prepare;          /* the lowest round in which its log lets it PREPARE */
    byte may_commit            /* and COMMIT */
};
Validator v[3];
bool agreement = true, no_second_vote = true, never_decides = true;

#define OUTCOME(i, c) ((v[i].outcomes >> (c)) & 1)
#define SAID(set, i, c, o) ((((set) >> (c)) & 1) && OUTCOME(i, c) == (o))

/* Every vote that the liar could sign is there for whoever wants it: with two honest votes for a
 * block there is a quorum of three of the four. */
#define PREPARED(r, c, o) (SAID(v[0].prepares[r], 0, c, o) + SAID(v[1].prepares[r], 1, c, o) \
                         + SAID(v[2].prepares[r], 2, c, o) >= 2)
#define COMMITTED(r, c, o) (SAID(v[0].commits[r], 0, c, o) + SAID(v[1].commits[r], 1, c, o) \
                          + SAID(v[2].commits[r], 2, c, o) >= 2)
#define CERTIFIED(r, c) (PREPARED(r, c, 0) || PREPARED(r, c, 1))

/* What a ROUND-CHANGE for round r names. The liar names nothing, or whatever a certificate of votes
 * that really exist proves. */
#define NAMES(i, r, c) (v[i].changes[r] > NOTHING && \
                        ((v[i].commits[v[i].changes[r] - 2] >> (c)) & 1))
#define MAX(a, b) ((a) > (b) -> (a) : (b))
#define TOP(i, j, r) MAX(v[i].changes[r], v[j].changes[r])

#if ROUNDS > 3
#define LIES_3(r, c, top) || ((r) > 2 && IN(2) >= (top) && CERTIFIED(2, c))
#else
#define LIES_3(r, c, top)
#endif
#define LIES(r, c, top) (((r) > 0 && IN(0) >= (top) && CERTIFIED(0, c)) || \
                         ((r) > 1 && IN(1) >= (top) && CERTIFIED(1, c)) LIES_3(r, c, top))

/* Rule 5: with the liar's, two honest ROUND-CHANGEs justify a proposal of content c in round r if
 * none of the three names anything, or one that names c is of the highest round among them. */
#ifdef LOWER
#define JUSTIFY(i, j, r, c) (v[i].changes[r] && v[j].changes[r] && \
    (TOP(i, j, r) == NOTHING || NAMES(i, r, c) || NAMES(j, r, c) || LIES(r, c, NOTHING)))
#else
#define JUSTIFY(i, j, r, c) (v[i].changes[r] && v[j].changes[r] && \
    (TOP(i, j, r) == NOTHING \
     || (NAMES(i, r, c) && v[i].changes[r] == TOP(i, j, r)) \
     || (NAMES(j, r, c) && v[j].changes[r] == TOP(i, j, r)) \
     || LIES(r, c, TOP(i, j, r))))
#endif
#define JUSTIFIED(r, c) ((r) == 0 || JUSTIFY(0, 1, r, c) || JUSTIFY(0, 2, r, c) || JUSTIFY(1, 2, r, c))

/* The rounds in which validator i may vote. Rule 4: its own; no round that it has left. */
#ifdef LATE
#define MAY_PREPARE(i, r) (v[i].round >= (r) && v[i].prepares[r] == 0)
#define MAY_COMMIT(i, r) (v[i].round >= (r) && v[i].commits[r] == 0)
#else
#define MAY_PREPARE(i, r) (v[i].round == (r) && v[i].may_prepare <= (r))
#define MAY_COMMIT(i, r) (v[i].round == (r) && v[i].may_commit <= (r))
#endif

#define LETTER(c) ('A' + (c))

inline prepare(i, r, c)
{
    printf("validator %d: PREPARE of round %d for %c with outcome %d\n", i, r, LETTER(c), OUTCOME(i, c));
    if
    :: v[i].prepares[r] -> no_second_vote = false
    :: else
    fi;
    assert(no_second_vote);
    v[i].prepares[r] = v[i].prepares[r] | (1 << (c));
    v[i].may_prepare = (r) + 1
}

inline commit(i, r, c)
{
    printf("validator %d: COMMIT of round %d for %c with outcome %d\n", i, r, LETTER(c), OUTCOME(i, c));
    if
    :: v[i].commits[r] -> no_second_vote = false
    :: else
    fi;
    assert(no_second_vote);
    v[i].commits[r] = v[i].commits[r] | (1 << (c));
    v[i].may_commit = (r) + 1
}

/* The prepared pair is that of the newest own COMMIT: both come from the same q PREPAREs. */
inline leave(i, r)
{
    if
    :: v[i].changes[r] -> no_second_vote = false
    :: else
    fi;
    assert(no_second_vote);
    v[i].round = r;
    v[i].changes[r] = NOTHING;
    n = 0;
    do
    :: n < (r) ->
        if
        :: v[i].commits[n] -> v[i].changes[r] = IN(n)
        :: else
        fi;
        n++
    :: else -> break
    od;
    if
    :: v[i].changes[r] > NOTHING ->
        printf("validator %d: ROUND-CHANGE to %d, prepared in round %d\n", i, r, v[i].changes[r] - 2)
    :: else -> printf("validator %d: ROUND-CHANGE to %d, nothing prepared\n", i, r)
    fi;
    n = 0
}

/* Whether any round's COMMITs decide block (c, o): by rule 3 those of a round already left, too. */
#if ROUNDS > 3
#define DECIDED_3(c, o) || COMMITTED(3, c, o)
#else
#define DECIDED_3(c, o)
#endif
#if ROUNDS > 2
#define DECIDED_2(c, o) || COMMITTED(2, c, o) DECIDED_3(c, o)
#else
#define DECIDED_2(c, o)
#endif
#define DECIDED(c, o) (COMMITTED(0, c, o) || COMMITTED(1, c, o) DECIDED_2(c, o))

/* After a COMMIT of round r. Whoever hears q COMMITs decides, at once or ever after, so agreement is
 * that there are never q COMMITs for two blocks. Those who have not heard them go on voting. */
inline judge(i, r, c)
{
    if
    :: COMMITTED(r, c, OUTCOME(i, c)) ->
        printf("             decides %c with outcome %d\n", LETTER(c), OUTCOME(i, c));
#ifdef REACH
        never_decides = ((r) != REACH);
        assert(never_decides);
#endif
        agreement = (DECIDED(0, 0) + DECIDED(0, 1) + DECIDED(1, 0) + DECIDED(1, 1) == 1);
        assert(agreement)
    :: else
    fi
}

/* The three are alike, so states that differ only in who is who are one state: they are kept in
 * order. (Not where a trace is wanted.) */
#ifdef SORTED
#if ROUNDS > 3
#define WORD_3(i, x) ^ (v[i].x[3] << 6)
#else
#define WORD_3(i, x)
#endif
#if ROUNDS > 2
#define WORD_2(i, x) ^ (v[i].x[2] << 4) WORD_3(i, x)
#else
#define WORD_2(i, x)
#endif
#define WORD(i, x) (v[i].x[0] ^ (v[i].x[1] << 2) WORD_2(i, x))
#define CHANGES_WORD(i) (v[i].changes[1] ^ (v[i].changes[ROUNDS - 1] << 3) ^ (v[i].changes[ROUNDS / 2] << 6))
#define KEY(i) ((((CHANGES_WORD(i) << 6) ^ WORD(i, commits)) << 6 ^ WORD(i, prepares)) << 2 ^ v[i].outcomes)
inline swap_byte(x, y) { n = x; x = y; y = n }
inline swap(i, j)
{
    swap_byte(v[i].outcomes, v[j].outcomes);
    swap_byte(v[i].round, v[j].round);
    swap_byte(v[i].may_prepare, v[j].may_prepare);
    swap_byte(v[i].may_commit, v[j].may_commit);
    r = 0;
    do
    :: r < ROUNDS ->
        swap_byte(v[i].prepares[r], v[j].prepares[r]);
        swap_byte(v[i].commits[r], v[j].commits[r]);
        swap_byte(v[i].changes[r], v[j].changes[r]);
        r++
    :: else -> break
    od
}
inline order(i, j) { if :: KEY(i) > KEY(j) -> swap(i, j) :: else fi }
inline done() { order(0, 1); order(1, 2); order(0, 1); n = 0; r = 0 }
#else
inline done() { n = 0; r = 0 }
#endif

/* One step of one validator. */
active proctype Network()
{
    byte n, r;
    /* Which of the two outcomes of a content is called 0 is validator 0's. */
    atomic {
#ifndef ALIKE
        if :: v[1].outcomes = 0 :: v[1].outcomes = 1 :: v[1].outcomes = 2 :: v[1].outcomes = 3 fi;
        if :: v[2].outcomes = 0 :: v[2].outcomes = 1 :: v[2].outcomes = 2 :: v[2].outcomes = 3 fi;
#endif
        d_step { done() }
    }
    do
#define VOTE(i, r, c) \
    :: d_step { MAY_PREPARE(i, r) && JUSTIFIED(r, c) -> prepare(i, r, c); done() } \
    :: d_step { MAY_COMMIT(i, r) && PREPARED(r, c, OUTCOME(i, c)) -> commit(i, r, c); judge(i, r, c); done() }
#define LEAVE(i, to) :: d_step { v[i].round < (to) -> leave(i, to); done() }
#if ROUNDS > 2
#define STEPS_2(i) LEAVE(i, 2) VOTE(i, 2, 0) VOTE(i, 2, 1)
#else
#define STEPS_2(i)
#endif
#if ROUNDS > 3
#define STEPS_3(i) LEAVE(i, 3) VOTE(i, 3, 0) VOTE(i, 3, 1)
#else
#define STEPS_3(i)
#endif
#ifdef FORGET
#define CRASH(i) :: d_step { v[i].may_prepare + v[i].may_commit > 0 -> \
    printf("validator %d: crashes and forgets its votes\n", i); \
    v[i].may_prepare = 0; v[i].may_commit = 0; done() }
#else
#define CRASH(i)
#endif
#define STEPS(i) VOTE(i, 0, 0) VOTE(i, 0, 1) LEAVE(i, 1) VOTE(i, 1, 0) VOTE(i, 1, 1) \
    STEPS_2(i) STEPS_3(i) CRASH(i)
    STEPS(0)
    STEPS(1)
    STEPS(2)
    od
}
