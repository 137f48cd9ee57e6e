//! The host's door to its tracing system: how a run gets into the trace of whoever submitted it.

/// Carries the trace of whoever submits a run to the process that drives it.
///
/// `tracing` knows no trace ids, so what exports your spans has to say them. Give an implementation to
/// [`EngineBuilder::trace_context`](crate::EngineBuilder::trace_context). With `tracing-opentelemetry` it is this:
///
/// ```text
/// use opentelemetry::propagation::TextMapPropagator;
/// use opentelemetry_sdk::propagation::TraceContextPropagator;
/// use tracing_opentelemetry::OpenTelemetrySpanExt;
///
/// struct Otel;
/// impl ai_engine::TraceContext for Otel {
///     fn current(&self) -> Option<String> {
///         let mut carrier = std::collections::HashMap::new();
///         let context = tracing::Span::current().context();
///         TraceContextPropagator::new().inject_context(&context, &mut carrier);
///         carrier.remove("traceparent")
///     }
///     fn adopt(&self, span: &tracing::Span, traceparent: &str) {
///         let carrier = [("traceparent".to_owned(), traceparent.to_owned())].into();
///         let carrier: std::collections::HashMap<String, String> = carrier;
///         let _ = span.set_parent(TraceContextPropagator::new().extract(&carrier));
///     }
/// }
/// ```
pub trait TraceContext: Send + Sync + 'static {
    /// The W3C `traceparent` of the span that is entered now, where a run is submitted; `None` outside of a trace. What is no
    /// `traceparent` is as good as none.
    fn current(&self) -> Option<String>;

    /// Makes the submitter's span, which may be another process's, the parent of the span of a run. Called once for each time that
    /// a run is driven, before its span is entered. A panic is logged and changes nothing.
    fn adopt(&self, span: &tracing::Span, traceparent: &str);
}
