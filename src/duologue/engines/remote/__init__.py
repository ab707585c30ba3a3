"""Parts of the composed engine that live on other servers, reached over HTTP."""
