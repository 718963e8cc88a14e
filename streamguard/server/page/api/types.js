/**
 * The values of the HTTP interface, as its OpenAPI document describes them.
 *
 * @typedef {"publish" | "view" | "review" | "admin"} Scope what a token opens
 *
 * @typedef {"REAL" | "UNSURE" | "FAKE" | "UNKNOWN"} Verdict
 *
 * @typedef {object} Track one person's face, followed through the stream
 * @property {number} track stable id, from 1
 * @property {Verdict} state the voted verdict
 * @property {string | null} reason why it is not judged
 * @property {number | null} score calibrated fake probability, 0..1
 * @property {number | null} share fake frames among the judged ones of the vote's window, 0..1
 * @property {number | null} suspect_share fake and unsure ones, 0..1
 *
 * @typedef {object} Vote how a face's frames become its verdict
 * @property {number} window seconds
 * @property {number} open_share fake above this share, 0..1
 * @property {number} close_share no longer fake below this share, 0..1
 *
 * @typedef {object} Output where a stream is sent on to
 * @property {string} target without secrets
 * @property {boolean} up
 * @property {string} detail what is amiss
 * @property {number} pictures sent
 * @property {number} packets sent
 * @property {number} dropped pictures lost
 * @property {number} failures
 * @property {number} reconnects
 * @property {number} lag_seconds that wait to be written
 * @property {string | null} hls path of its playlist on this server
 *
 * @typedef {object} Stream
 * @property {string} name
 * @property {"published" | "pulled"} kind
 * @property {string | null} source where it is pulled from, without secrets
 * @property {"starting" | "up" | "down" | "ended" | "failed"} state
 * @property {string} detail
 * @property {Verdict} verdict
 * @property {Verdict | null} last_verdict what was said of the newest judged frame; null before the first
 * @property {number | null} width
 * @property {number | null} height
 * @property {number} viewers
 * @property {{received: number, judged: number, dropped: number}} rates frames per second
 * @property {{judged_per_second: number | null, asked: number, judged: number, reduced: boolean}} sampling frames per second;
 *   reduced: for want of time
 * @property {{received: number, judged: number, dropped: number}} totals frames
 * @property {{p50: number | null, p95: number | null} | null} latency_ms arrival to verdict
 * @property {number | null} [bitrate_kbps]
 * @property {number | null} [packet_loss] 0..1
 * @property {Vote} vote
 * @property {Track[]} tracks
 * @property {Output[]} outputs
 * @property {string | null} since RFC 3339
 *
 * @typedef {object} FaceMessage a face in one judged frame
 * @property {number} track
 * @property {[number, number, number, number]} box x0, y0, x1, y1 in 0..1 of the picture
 * @property {Verdict} verdict of this frame
 * @property {string | null} reason
 * @property {number | null} score 0..1
 * @property {Verdict} state the track's voted verdict
 * @property {number | null} share 0..1
 * @property {number | null} suspect_share 0..1
 *
 * @typedef {object} VerdictMessage what one judged frame says
 * @property {"verdict"} type
 * @property {string} stream
 * @property {number} epoch
 * @property {number} frame
 * @property {number} time media seconds
 * @property {number} latency_ms
 * @property {Verdict} state the stream's voted verdict
 * @property {number | null} share of the worst track, 0..1
 * @property {number | null} suspect_share of the worst track, 0..1
 * @property {FaceMessage[]} faces
 *
 * @typedef {object} StreamEvent
 * @property {string} id
 * @property {"fake.opened" | "fake.updated" | "fake.closed" | "stream.up" | "stream.down" | "stream.degraded"} kind
 * @property {string} stream
 * @property {number | null} track
 * @property {string} at UTC, RFC 3339
 * @property {number | null} time media seconds
 * @property {number | null} score 0..1
 * @property {number | null} share 0..1
 * @property {string} detail
 * @property {string | null} [incident] the person called fake that it tells of
 * @property {number} epoch
 * @property {"cleared" | "lost" | "stream_broke" | "stream_ended" | "superseded" | null} cause of `fake.closed`
 * @property {string | null} snapshot address of the picture kept with it
 */

/**
 * @typedef {"fake.opened" | "fake.updated" | "fake.closed" | "stream.up" | "stream.down" | "stream.degraded"} EventKind
 *
 * @typedef {object} QuietHours
 * @property {string[]} days "mon" to "sun"
 * @property {string} start HH:MM
 * @property {string} end HH:MM
 * @property {string} zone IANA name
 *
 * @typedef {object} Rule what a webhook is told
 * @property {string[]} streams patterns of names
 * @property {EventKind[]} kinds
 * @property {number} least_score 0..1
 * @property {number} least_share 0..1
 * @property {number} for_seconds
 * @property {number} within_seconds
 * @property {number} hold_seconds
 * @property {number} cool_down_seconds
 * @property {number} update_seconds
 * @property {QuietHours[]} quiet
 * @property {number} flap_count
 * @property {number} flap_seconds
 *
 * @typedef {object} Webhook
 * @property {string} id
 * @property {string} name
 * @property {string} url
 * @property {Rule} rule
 * @property {"active" | "paused" | "disabled"} status
 * @property {string} reason why it is not sent to
 *
 * @typedef {object} Delivery
 * @property {string} id
 * @property {string} kind
 * @property {string} at UTC, RFC 3339
 * @property {"pending" | "delivered" | "dead" | "cancelled"} status
 * @property {number} attempts
 * @property {number | null} code HTTP status of the last answer
 * @property {string} answer
 */

/**
 * @typedef {"confirmed" | "false_alarm"} Mark
 *
 * @typedef {object} Incident one person called fake in one stream
 * @property {string} id
 * @property {string} stream
 * @property {"open" | "closed"} state
 * @property {StreamEvent["cause"]} cause why it closed
 * @property {string} opened UTC, RFC 3339
 * @property {string} updated
 * @property {string | null} closed
 * @property {number} openings
 * @property {number} score highest, 0..1
 * @property {number} share highest, 0..1
 * @property {number} judged frames
 * @property {number} fake frames
 * @property {string} model
 * @property {Mark | null} mark
 * @property {string} note
 * @property {string | null} marked_at
 * @property {string | null} snapshot
 *
 * @typedef {object} Evidence
 * @property {string} event
 * @property {"picture" | "mask" | "face" | "clip" | "manifest" | "signature"} kind
 * @property {string} media_type
 * @property {string} href
 *
 * @typedef {object} IncidentDetailParts
 * @property {StreamEvent[]} events oldest first
 * @property {Evidence[]} evidence
 * @property {{at: string, score: number}[]} samples
 *
 * @typedef {Incident & IncidentDetailParts} IncidentDetail
 *
 * @typedef {object} JudgedFrame
 * @property {number} time seconds from the clip's begin
 * @property {number | null} score of its most suspect face; null where no face was judged
 *
 * @typedef {"FAKE" | "FAKE_IN_PART" | "UNSURE" | "NO_SIGN_FOUND" | "NOT_JUDGED"} Finding
 *
 * @typedef {object} ScoreSample a few frames in a row
 * @property {number} start media seconds
 * @property {number} end media seconds
 * @property {number | null} score mean, 0..1; null where none was judged
 * @property {number | null} highest 0..1
 *
 * @typedef {object} CheckedFace
 * @property {number} track
 * @property {Finding} finding
 * @property {number | null} share of fake frames, 0..1
 * @property {number} judged
 * @property {number} fake
 * @property {[number, number][]} fake_intervals seconds
 *
 * @typedef {object} CheckedFile
 * @property {"video" | "picture"} kind
 * @property {Finding} finding
 * @property {number | null} share of fake frames, 0..1
 * @property {number} judged
 * @property {number} fake
 * @property {number} duration seconds
 * @property {Record<string, number>} unjudged faces that were not judged, by reason
 * @property {[number, number][]} fake_intervals seconds
 * @property {ScoreSample[]} scores
 * @property {CheckedFace[]} tracks
 * @property {{message: string} | null} fault
 *
 * @typedef {object} Check a file that was sent to be judged
 * @property {string} id
 * @property {string} name
 * @property {"waiting" | "running" | "done" | "failed"} state
 * @property {number} ahead files whose turn comes before
 * @property {number} progress 0..1
 * @property {string | null} expires UTC, RFC 3339
 * @property {{files: CheckedFile[]} | null} result
 * @property {string | null} report link
 * @property {{detail: string, remedy: string} | null} problem
 */

export {};
